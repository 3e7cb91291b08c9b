"""Reports of mistakes in the use of the plugin: one line, without our own source."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

_ERRORS = "pipeline.errors"


def shorten(excinfo: pytest.ExceptionInfo[BaseException]) -> bool:
    """Take the frames of this package out of the traceback of a mistake.

    Returns:
        Whether its text alone is to be reported, since no frames of the user are left.
    """
    return _is_mistake(excinfo.value) and not _hide_source(excinfo)


def _is_mistake(error: BaseException) -> bool:
    """Return whether a setting is wrong, or a server did not start."""
    errors = sys.modules.get(_ERRORS)
    if errors is None:
        return isinstance(error, pytest.UsageError)
    return (
        isinstance(error, pytest.UsageError | errors.UsageError)
        or type(error) is errors.StageError
    )


def _hide_source(excinfo: pytest.ExceptionInfo[BaseException]) -> bool:
    """Keep frames of the user alone; return whether there are any."""
    error = excinfo.value
    # What the plugin has converted says nothing new; what the user's code raised does.
    if error.__cause__ is not None and not any(_user_frames(error.__cause__)):
        error.__cause__ = None
        error.__suppress_context__ = True
    kept = list(_user_frames(error))
    # pytest follows these links from the frame of the test.
    for frame, following in pairwise([*kept, None]):
        if frame is not None:
            frame.tb_next = following
    if kept:
        excinfo.traceback = excinfo.traceback.filter(
            lambda entry: _is_users(Path(entry.path))
        )
    return bool(kept)


def lines_cut_short(
    reports: Iterable[Any], width: int, config: pytest.Config
) -> list[str]:
    """Return each error of this package that the short summary does not show whole.

    Args:
        reports: The reports of failures and errors.
        width: Characters of a line of the terminal.
        config: The configuration of the session.
    """
    if config.get_verbosity() >= 2 or os.environ.get("CI"):
        return []  # pytest cuts no line then.
    lines = []
    for report in reports:
        crash = getattr(getattr(report, "longrepr", None), "reprcrash", None)
        message = getattr(crash, "message", "")
        shown = f"FAILED {report.nodeid} - {message}"
        if message.startswith(f"{_ERRORS}.") and len(shown) > width:
            lines.append(message.removeprefix(f"{_ERRORS}."))
    return list(dict.fromkeys(lines))


def _user_frames(error: BaseException) -> Iterator[TracebackType]:
    traceback = error.__traceback__
    while traceback is not None:
        if _is_users(Path(traceback.tb_frame.f_code.co_filename)):
            yield traceback
        traceback = traceback.tb_next


@cache
def _is_users(path: Path) -> bool:
    """Return whether a file is not of this package, of Python, or installed."""
    # Code that is made as it runs, or compiled from Cython, has no path of its own.
    return path.is_absolute() and not any(map(path.is_relative_to, _FOREIGN))


_HERE = Path(__file__).parents[1]
_FOREIGN = (
    _HERE,
    _HERE.parent / "pipeline",
    *{Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")},
)
