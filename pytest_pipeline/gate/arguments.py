"""The arguments of pytest for the sides: no options of the gate, and mapped paths."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_pipeline.gate.options import AGAINST, MERGE_BASE, VALUES_OF

#: What may stand before a path in an argument: --option=, -o key=, -c, @.
_BEFORE_PATH = re.compile(r"(?:--?[\w-]+=|[\w.-]+=|-[A-Za-z]|@)(?=/)")


def without_gate_options(words: Sequence[str], against: str = MERGE_BASE) -> list[str]:
    """Return the command line of pytest without the options of the gate.

    Args:
        words: The command line.
        against: The revision that `AGAINST` was read as, whose value is optional.
    """
    chosen: list[str] = []
    rest = iter(words)
    for word in rest:
        name, equals, _ = word.partition("=")
        if name not in VALUES_OF:
            # An empty word is an empty revision.
            chosen += [word] if word else []
        elif not equals and (name != AGAINST or against != MERGE_BASE):
            for _ in range(VALUES_OF[name]):
                next(rest, None)
    return chosen


def in_a_side(words: Sequence[str], top: Path, folder: Path) -> list[str]:
    """Return arguments whose paths lead into the checkout of a side.

    An absolute path in the repository becomes relative to ``folder``, in each spelling:
    ``/path``, ``/path::test``, ``--option=/path``, ``-c/path``, ``-o key=/path``. A
    relative path that leaves the repository becomes absolute.

    Args:
        words: Arguments of pytest.
        top: The folder of the repository.
        folder: The folder in which the words are meant.
    """
    return [_in_a_side(word, top, folder) for word in words]


def relative_to_top(path: str, top: Path) -> str | None:
    """Return an absolute path relative to the repository; None if it is not in it."""
    tops = dict.fromkeys((str(top), str(top.resolve())))
    # Unresolved first: each side has its own copy of a link in the repository.
    for spelled in (os.path.normpath(path), os.path.realpath(path)):
        for base in tops:
            if Path(spelled).is_relative_to(base):
                return os.path.relpath(spelled, base)
    return None


def _in_a_side(word: str, top: Path, folder: Path) -> str:
    found = _BEFORE_PATH.match(word)
    before = found.group() if found else ""
    path, colons, of = word[len(before) :].partition("::")
    if path.startswith("/"):
        inside = relative_to_top(path, top)
        if inside is not None:
            path = os.path.relpath(top.resolve() / inside, folder.resolve())
    elif ".." in Path(path).parts:
        outside = folder.resolve() / path
        if outside.exists() and relative_to_top(str(outside), top) is None:
            path = str(outside.resolve())
    return f"{before}{path}{colons}{of}"


def paths_in(text: str, top: Path) -> Iterator[re.Match[str]]:
    """Return the absolute paths in the repository that a text names."""
    for base in dict.fromkeys((str(top), str(top.resolve()))):
        yield from re.finditer(
            # -I/path is one; /other/path, where only the end is the same, is none.
            rf"(?:(?<![\w.\-])|(?<=-[A-Za-z])){re.escape(base)}(?:/[^:\s\"',;]*)?(?![\w.\-])",
            text,
        )
