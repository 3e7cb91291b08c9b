"""Files of counts and of ratios that are committed: their options, reading, writing.

Needs pytest only, since the plugin loads it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import pytest

_OPTION = "--pipeline-baseline"
_INI = "pipeline_baseline"

_Content = TypeVar("_Content")


def add_options(parser: pytest.Parser) -> None:
    """Declare the options, and the ini key of the file."""
    group = parser.getgroup(
        "pipeline-baseline", "counts and ratios that are held to a committed file"
    )
    group.addoption(
        _OPTION,
        dest=_INI,
        metavar="FILE",
        help="Committed file that the suite of counts or of ratios holds runs to.",
    )
    group.addoption(
        "--pipeline-update-baseline",
        action="store_true",
        help="Write what is counted or measured to that file instead.",
    )
    parser.addini(_INI, f"Default of {_OPTION}, from the ini file's folder.")


def baseline_path(config: pytest.Config) -> Path:
    """Return the committed file; raise pytest.UsageError where none is named."""
    given = config.getoption(_INI)
    if given:
        return Path(given)
    configured = config.getini(_INI)
    if configured:
        return config.rootpath / str(configured)
    raise pytest.UsageError(
        f"there is no file of counts or ratios to compare with; give {_OPTION} FILE, "
        f"and --pipeline-update-baseline to make it"
    )


def is_update(config: pytest.Config) -> bool:
    """Say whether the file is to be written; raise pytest.UsageError under xdist."""
    update = bool(config.getoption("pipeline_update_baseline"))
    if update and hasattr(config, "workerinput"):
        raise pytest.UsageError(
            "--pipeline-update-baseline: workers of xdist would write over each "
            "other; add -n 0"
        )
    return update


def read_committed(path: Path, content: type[_Content]) -> _Content:
    """Read a file; raise UsageError where there is none, or it is none of ours."""
    import msgspec

    from pipeline.errors import UsageError, one_line

    try:
        return msgspec.json.decode(path.read_bytes(), type=content)
    except FileNotFoundError:
        raise UsageError(
            f"{_OPTION} {path}: there is no such file; "
            f"--pipeline-update-baseline makes it"
        ) from None
    except (OSError, msgspec.MsgspecError) as error:
        raise UsageError(f"{_OPTION} {path}: {one_line(error)}") from None


def write_committed(path: Path, content: object) -> None:
    """Replace a file, or leave it as it was; raise UsageError if it can't be."""
    from pipeline.errors import SinkError, UsageError
    from pipeline.publishing import write_whole

    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    try:
        write_whole(path, text.encode())
    except SinkError as error:
        raise UsageError(f"{_OPTION}: {error}") from None


def by_number(names: Iterable[str]) -> list[str]:
    """Sort names by words, but 10 before 100 and after 2."""
    return sorted(
        names,
        key=lambda name: [
            (int(word), "") if word.isdecimal() else (0, word)
            for word in re.split(r"(\d+)", name)
        ],
    )
