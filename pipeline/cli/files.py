"""Checks of the files that a command is given."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Mapping, Sequence
from glob import has_magic, iglob
from pathlib import Path

from pipeline.errors import SourceError, UsageError, one_line
from pipeline.inputs import STANDARD_INPUT
from pipeline.urls import is_url, redacted


def check_distinct(
    paths: Mapping[str, Path | None], inputs: Sequence[str] = ()
) -> None:
    """Raise UsageError if two options name the same file.

    Args:
        paths: The paths by option; None if the option was not given.
        inputs: The files that IN names. Two of them may be the same.
    """
    seen = {os.path.realpath(path): "IN" for path in inputs}
    for option, path in paths.items():
        if path is None:
            continue
        other = seen.setdefault(os.path.realpath(path), option)
        if other != option:
            raise UsageError(f"{option} {path}: is the same file as {other}")


def matching_files(given: Iterable[str]) -> list[str]:
    """Return the inputs that IN names, with the files that match each pattern.

    Those are sorted by name, folders left out. The name of a file that exists is no
    pattern.

    Raises:
        SourceError: The store of a URL can't be asked.
        UsageError: Nothing matches a pattern.
    """
    inputs = []
    for name in given:
        matching = _matching(name)
        if not matching:
            raise UsageError(f"IN {redacted(name)}: no file matches this pattern")
        inputs += matching
    return inputs


def _matching(name: str) -> list[str]:
    if is_url(name):
        # Other characters of patterns have a meaning of their own in URLs.
        if "*" not in name:
            return [name]
        from pipeline.url_files import matching_urls

        return matching_urls(name)
    if name == STANDARD_INPUT or not has_magic(name) or os.path.lexists(name):
        return [name]
    # Path.glob takes no absolute pattern, and finds hidden files.
    found = iglob(name, recursive=True)  # noqa: PTH207
    return sorted(path for path in found if not Path(path).is_dir())


def paths_of_inputs(inputs: Sequence[str]) -> list[str]:
    """Return what a source opens for each input, in any process that this one starts.

    That is its absolute path, or its URL. What has no path in other processes becomes
    standard input: a pipe, such as ``<(command)`` of a shell, a device, and a file with
    a name that is not UTF-8, since messages can't carry it.

    Raises:
        SourceError: An input can't be opened.
        UsageError: Two of them have to be standard input.
    """
    if len(inputs) > 1:
        # Otherwise a missing file would be found when those before it are read.
        for name in inputs:
            _check_there(name)
        nameless = [name for name in inputs if _is_nameless(name)]
        if len(nameless) > 1:
            raise UsageError(
                f"IN {nameless[1]}: is read as standard input, as is {nameless[0]}; "
                f"only one input can be a pipe, a device, or have a name that is not "
                f"UTF-8"
            )
    return [_path_of_input(name) for name in inputs]


def _check_there(name: str) -> None:
    if name == STANDARD_INPUT or is_url(name):
        return  # a store is not asked twice for each file
    try:
        Path(name).stat()
    except OSError as error:
        raise SourceError(f"can't read {name}: {one_line(error)}") from error


def _is_nameless(name: str) -> bool:
    """Return whether other processes can't open it by its name."""
    if is_url(name):
        return False
    path = str(Path(name).absolute())
    return name == STANDARD_INPUT or is_read_once(path) or not _is_utf8(path)


def _path_of_input(given: str) -> str:
    if given == STANDARD_INPUT or is_url(given):
        return given
    path = str(Path(given).absolute())
    if not _is_nameless(given):
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
