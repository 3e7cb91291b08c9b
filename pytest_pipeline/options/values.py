"""The kinds of values that options have: how each is read, and what it must be.

A kind reads the text of an option or ini key, and checks the value that a marker or an
argument gives. Both raise ValueError (or TypeError) with what the value must be.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

_ADDRESS = re.compile(r"unix:\S+|(\[[^\]\s]+\]|[^:\[\]\s/]+):\d{1,5}")


def is_address(text: str) -> bool:
    """Return whether ``text`` is the address of a server: HOST:PORT or unix:PATH."""
    return _ADDRESS.fullmatch(text) is not None


@dataclass(frozen=True)
class Kind:
    """A kind of value."""

    #: Reads the text of an option or ini key.
    parse: Callable[[str], Any]
    #: Checks and converts the value of a marker or an argument.
    convert: Callable[[Any], Any]


# As pipeline.batching.AUTO, but this module imports nothing of pipeline.
_AUTO = "auto"


def _sizes(value: Any) -> tuple[int | str, ...]:
    sizes = (value,) if isinstance(value, int | str) else tuple(value)
    if not sizes or not all(
        size == _AUTO or (_is_whole(size) and size >= 1) for size in sizes
    ):
        raise ValueError("must be numbers from 1, or auto, such as auto,1,10,100")
    if len(set(sizes)) < len(sizes):
        raise ValueError("has a size twice")
    return sizes


def _parse_sizes(text: str) -> tuple[int | str, ...]:
    words = [word.strip() for word in text.split(",")]
    return _sizes([int(word) if word.isdecimal() else word for word in words])


def _names(value: Any) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else tuple(value)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError("must be names, such as events,work-items")
    if len(set(names)) < len(names):
        raise ValueError("has a name twice")
    return names


def _parse_names(text: str) -> tuple[str, ...]:
    return _names([word.strip() for word in text.split(",")])


def _stages(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, Mapping):
        raise ValueError("must be a mapping of stage names to commands or addresses")  # noqa: TRY004
    for name, serving in value.items():
        if not (isinstance(name, str) and name and isinstance(serving, str)):
            raise ValueError("must map the name of a stage to a command or an address")
        if not serving.strip():
            raise ValueError(f"says nothing of what serves stage {name}")
    return tuple(sorted(value.items()))


def _parse_stage(text: str) -> tuple[tuple[str, str], ...]:
    name, equals, serving = text.partition("=")
    if not (equals and name.strip() and serving.strip()):
        raise ValueError("must be NAME=COMMAND or NAME=ADDRESS")
    return ((name.strip(), serving.strip()),)


def _count(value: Any) -> int:
    if not _is_whole(value) or value < 1:
        raise ValueError("must be a number from 1")
    return value


def _parse_count(text: str) -> int:
    return _count(int(text) if text.strip().isdecimal() else 0)


def _path(value: Any) -> Path:
    if not str(value).strip():
        raise ValueError("must be the path of a file")
    return Path(value)


def _text(value: Any) -> str:
    if not str(value).strip():
        raise ValueError("must not be empty")
    return str(value)


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def choice(choices: tuple[str, ...]) -> Kind:
    """Return the kind of a word that is one of ``choices``."""

    def choose(value: Any) -> str:
        if isinstance(value, str) and value in choices:
            return value
        raise ValueError(f"must be one of {', '.join(choices)}")

    return Kind(choose, choose)


def _number(must_be: str, most: float = math.inf) -> Kind:
    """Return the kind of a number between 0 and ``most``, both excluded."""

    def convert(value: Any) -> float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (is_number and 0 < value < most):
            raise ValueError(must_be)
        return float(value)

    def parse(text: str) -> float:
        try:
            return convert(float(text))
        except ValueError:
            raise ValueError(must_be) from None

    return Kind(parse, convert)


#: Whole numbers from 1, or ``auto``, each once: ``auto,1,10,100``.
SIZES = Kind(_parse_sizes, _sizes)
#: Names, each once: ``events,work-items``.
NAMES = Kind(_parse_names, _names)
#: Stages with what serves them: ``parse=./serve``, or a mapping.
STAGES = Kind(_parse_stage, _stages)
COUNT = Kind(_parse_count, _count)
SECONDS = _number("must be seconds, more than 0")
RATE = _number("must be records per second, more than 0")
#: A relative change; ten times as slow is a typing error.
SHARE = _number("must be a share, more than 0, such as 0.05", most=10)
PATH = Kind(_path, _path)
TEXT = Kind(_text, _text)
