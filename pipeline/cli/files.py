"""Checks of the files that a command is given."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from pipeline.errors import SourceError, UsageError, one_line
from pipeline.inputs import STANDARD_INPUT


def check_distinct(paths: dict[str, Path | None]) -> None:
    """Raise UsageError if two options name the same file.

    Args:
        paths: The paths by option; None if the option was not given.
    """
    seen: dict[str, str] = {}
    for option, path in paths.items():
        if path is None:
            continue
        other = seen.setdefault(os.path.realpath(path), option)
        if other != option:
            raise UsageError(f"{option} {path}: is the same file as {other}")


def input_path(given: str | None) -> str | None:
    """Return what a source opens for IN, in any process that this one starts.

    That is its absolute path. What has no path in other processes becomes standard
    input: a pipe, such as ``<(command)`` of a shell, a device, and a file with a name
    that is not UTF-8, since messages can't carry it.

    Args:
        given: IN as it was given; None for none.

    Raises:
        SourceError: IN can't be opened.
    """
    if given is None or given == STANDARD_INPUT:
        return given
    path = str(Path(given).absolute())
    if not is_read_once(path) and _is_utf8(path):
        return path
    try:
        # Waits until somebody opens a named pipe for writing.
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise SourceError(f"can't read {given}: {one_line(error)}") from error
    if descriptor != 0:
        os.dup2(descriptor, 0)
        os.close(descriptor)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - it lives as long as the process
    return STANDARD_INPUT


def is_read_once(path: str) -> bool:
    """Return whether it is a pipe or device, or a descriptor of this process."""
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return False  # whoever opens it says why
    is_file = stat.S_ISREG(mode) and not path.startswith(("/dev/", "/proc/"))
    return not is_file and not stat.S_ISDIR(mode)


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
