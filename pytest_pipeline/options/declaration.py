"""How the options of a feature are declared to pytest, and read.

An option has one name on the command line and in the ini file:
``--pipeline-start-timeout 5`` and ``pipeline_start_timeout = 5``. The command line
overrides the ini file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from pytest_pipeline.options.values import Kind


@dataclass(frozen=True)
class Option:
    """One option of a feature."""

    #: The name of the field that it sets.
    name: str
    kind: Kind
    metavar: str
    help: str
    #: Whether it may be given several times; each time it names one stage.
    repeats: bool = False


@dataclass(frozen=True)
class Given:
    """The value of an option, and where it was given."""

    value: Any
    #: The option or ini key with its text, for error messages.
    source: str


@dataclass(frozen=True)
class OptionGroup:
    """The options of a feature, which share a prefix.

    The prefix ``pipeline-gate`` makes ``--pipeline-gate-NAME`` and
    ``pipeline_gate_NAME``.
    """

    prefix: str
    title: str
    options: Sequence[Option]

    def flag(self, name: str) -> str:
        """Return the command-line option for a name."""
        return f"--{self.prefix}-{name.replace('_', '-')}"

    def ini_key(self, name: str) -> str:
        """Return the ini key for a name."""
        return f"{self.prefix.replace('-', '_')}_{name}"

    def declare(self, parser: pytest.Parser) -> None:
        """Declare every option and its ini key."""
        group = parser.getgroup(self.prefix, self.title)
        for option in self.options:
            flag, key = self.flag(option.name), self.ini_key(option.name)
            group.addoption(
                flag,
                action="append" if option.repeats else "store",
                dest=key,
                metavar=option.metavar,
                help=option.help,
            )
            kind: Literal["linelist", "string"] = (
                "linelist" if option.repeats else "string"
            )
            parser.addini(key, f"Default of {flag}.", type=kind, default=None)

    def given(self, config: pytest.Config) -> dict[str, Given]:
        """Read the options that the command line or the ini file sets, by name.

        Raises:
            pytest.UsageError: A value is not of its option's kind. The message names
                the option or ini key.
        """
        found: dict[str, Given] = {}
        for option in self.options:
            key = self.ini_key(option.name)
            for source, text in (
                (self.flag(option.name), config.getoption(key)),
                (f"ini key {key}", config.getini(key)),
            ):
                # A repeatable option that is not given is an empty list.
                if text is None or text == []:
                    continue
                found[option.name] = _given(option, source, text)
                break
        return found


def _given(option: Option, source: str, text: Any) -> Given:
    # pytest.toml may hold values that are not text; they are refused as text.
    several = option.repeats and not isinstance(text, str)
    texts = [str(word) for word in text] if several else [str(text)]
    values = [_parsed(option, source, word) for word in texts]
    return Given(
        _merged(source, values) if option.repeats else values[0],
        f"{source} {' '.join(texts)}",
    )


def _parsed(option: Option, source: str, text: str) -> Any:
    try:
        return option.kind.parse(text)
    except ValueError as error:
        raise pytest.UsageError(f"{source} {text}: {error}") from error


def _merged(
    source: str, given: Iterable[tuple[tuple[str, str], ...]]
) -> tuple[tuple[str, str], ...]:
    """Return all stages, sorted; raise pytest.UsageError for one given twice."""
    stages: dict[str, str] = {}
    for ((name, serving),) in given:
        if name in stages:
            raise pytest.UsageError(f"{source} {name}={serving}: stage given twice")
        stages[name] = serving
    return tuple(sorted(stages.items()))
