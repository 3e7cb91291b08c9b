"""Read the input of a run again: ingest is lost, or the sink and what it has added."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pipeline.engines.base import RunSettings
from pipeline.errors import SourceError, one_line
from pipeline.inputs import STANDARD_INPUT, separate_paths
from pipeline.urls import is_url


@dataclass(frozen=True, slots=True)
class _Stamp:
    """What another content of a file differs in."""

    size: int
    modified_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class Rereading:
    """The input files of a run as they were when it began."""

    _stamps: Mapping[str, _Stamp]

    @classmethod
    def of(cls, settings: RunSettings) -> Self | None:
        """Look at the input files; return None if the input can be read only once.

        So can standard input and pipes. What is behind a URL is taken for such, too:
        only ingest opens URLs.
        """
        if not settings.workload.source.repeatable:
            return None
        stamps = {}
        for path in filter(None, separate_paths(settings.input)):
            if path == STANDARD_INPUT or is_url(path):
                return None
            try:
                found = _stamp(path)
            except OSError:
                return None  # ingest finds out why, and fails the run
            if found is None:
                return None
            stamps[path] = found
        return cls(stamps)

    def check(self) -> None:
        """Check that the files are as they were.

        Raises:
            SourceError: One has changed.
        """
        for path, before in self._stamps.items():
            try:
                found = _stamp(path)
            except OSError as error:
                raise SourceError(
                    f"can't read {path} again: {one_line(error)}"
                ) from error
            if found != before:
                raise SourceError(
                    f"{path} has changed while it was read, and a server was lost that "
                    f"has to read it again; start the run anew"
                )


def _stamp(path: str) -> _Stamp | None:
    """Return the stamp of a file; None if it is no regular one."""
    status = Path(path).stat()
    if not stat.S_ISREG(status.st_mode):
        return None
    return _Stamp(status.st_size, status.st_mtime_ns, status.st_ino)
