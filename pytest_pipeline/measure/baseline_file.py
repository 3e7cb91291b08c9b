"""Find, read and write the baseline file: the committed counts or ratios.

The plugin loads this module at start-up, so it imports only pytest until it is used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeVar

import pytest

_OPTION = "--pipeline-baseline"
_UPDATE = "--pipeline-update-baseline"
_INI = "pipeline_baseline"

_Content = TypeVar("_Content")


def add_options(parser: pytest.Parser) -> None:
    """Declare the command line options and the ini key of the baseline file."""
    group = parser.getgroup(
        "pipeline-baseline", "counts and ratios that are compared with a committed file"
    )
    group.addoption(
        _OPTION,
        dest=_INI,
        metavar="FILE",
        help="Committed file that the suite of counts or of ratios compares with.",
    )
    group.addoption(
        _UPDATE,
        action="store_true",
        help="Write the counts or ratios to that file instead of comparing them.",
    )
    parser.addini(_INI, f"Default of {_OPTION}, relative to the ini file's folder.")


@dataclass(frozen=True)
class BaselineFile:
    """The baseline file that a session compares with or writes."""

    path: Path
    #: Write the file instead of comparing with it.
    update: bool

    @classmethod
    def of(cls, config: pytest.Config) -> BaselineFile:
        """Return the file that the options or the ini key name.

        Raises:
            pytest.UsageError: No file is named, or it is to be written under xdist.
        """
        path = _path(config)
        update = bool(config.getoption("pipeline_update_baseline"))
        if update and hasattr(config, "workerinput"):
            raise pytest.UsageError(
                f"{_UPDATE}: workers of xdist would write over each other; add -n 0"
            )
        return cls(path, update)

    @property
    def is_new(self) -> bool:
        """Whether this session creates the file."""
        return self.update and not self.path.exists()

    def fail(self, *lines: str) -> NoReturn:
        """Fail the test with these lines, and add how to update the file."""
        hint = f"if this is meant: {_UPDATE}, and commit {self.path}"
        pytest.fail("\n".join([*lines, hint]), pytrace=False)

    @property
    def written(self) -> str:
        """The line of the terminal summary after an update."""
        return f"written: {self.path}; its diff is for the review"


def _path(config: pytest.Config) -> Path:
    given = config.getoption(_INI)
    if given:
        return Path(given)
    configured = config.getini(_INI)
    if configured:
        return config.rootpath / str(configured)
    raise pytest.UsageError(
        f"there is no file of counts or ratios to compare with; give {_OPTION} FILE, "
        f"and {_UPDATE} to make it"
    )


def read_baseline(path: Path, content: type[_Content]) -> _Content:
    """Return the content of a baseline file, decoded from JSON as ``content``.

    Raises:
        UsageError: The file is missing, unreadable, or not of this type.
    """
    import msgspec

    from pipeline.errors import UsageError, one_line

    try:
        return msgspec.json.decode(path.read_bytes(), type=content)
    except FileNotFoundError:
        raise UsageError(
            f"{_OPTION} {path}: there is no such file; {_UPDATE} makes it"
        ) from None
    except (OSError, msgspec.MsgspecError) as error:
        raise UsageError(f"{_OPTION} {path}: {one_line(error)}") from None


def write_baseline(path: Path, content: object) -> None:
    """Replace a baseline file with ``content`` as JSON, atomically.

    Raises:
        UsageError: The file can't be written; it is then unchanged.
    """
    from pipeline.errors import SinkError, UsageError
    from pipeline.publishing import write_whole

    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    try:
        write_whole(path, text.encode())
    except SinkError as error:
        raise UsageError(f"{_OPTION}: {error}") from None


def run_name(workload: str, batch_size: int) -> str:
    """Return what the names of the counts and ratios of a run begin with."""
    return f"{workload} at batch size {batch_size}"


def sort_naturally(names: Iterable[str]) -> list[str]:
    """Sort names with numbers compared by value: 2 before 10 before 100."""
    return sorted(
        names,
        key=lambda name: [
            (int(word), "") if word.isdecimal() else (0, word)
            for word in re.split(r"(\d+)", name)
        ],
    )
