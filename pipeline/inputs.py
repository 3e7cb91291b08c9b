"""Open files and standard input for a source."""

from __future__ import annotations

import math
import os
import select
import sys
import time
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Self

from pipeline.errors import SourceError, one_line
from pipeline.source import ByteReader

STANDARD_INPUT = "-"

# How often a reader of standard input checks whether the run has ended.
_POLL_S = 0.1


class Inputs:
    """Opens inputs for a source, and measures the time spent waiting for them.

    Args:
        resolve: Returns the path to open for the path that the source asked for, or
            raises SourceError.
        is_wanted: Called while standard input has nothing to read. Once it returns
            False, standard input reads as ended.
    """

    def __init__(
        self,
        resolve: Callable[[str], Path] = Path,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._resolve = resolve
        self._is_wanted = is_wanted
        self._waited_ns = 0

    def open(self, path: str) -> ByteReader:
        """Open ``path`` for reading; "-" is standard input.

        Raises:
            SourceError: It can't be read.
        """
        target = self._resolve(path)
        if path == STANDARD_INPUT:
            return _StandardInput(self._wait, self._is_wanted)
        try:
            return FileIO(target)
        except OSError as error:
            raise SourceError(f"can't read {path}: {one_line(error)}") from error

    def take_waited_ns(self) -> int:
        """Return the nanoseconds spent waiting since the last call."""
        waited, self._waited_ns = self._waited_ns, 0
        return waited

    def _wait(self, descriptor: int, timeout_s: float) -> bool:
        """Return whether there is something to read within ``timeout_s``."""
        start = time.perf_counter_ns()
        try:
            return bool(select.select([descriptor], [], [], timeout_s)[0])
        finally:
            self._waited_ns += time.perf_counter_ns() - start


class _StandardInput:
    def __init__(
        self, wait: Callable[[int, float], bool], is_wanted: Callable[[], bool]
    ) -> None:
        if sys.stdin is None or sys.stdin.closed:
            raise SourceError("can't read standard input: it is closed")
        self._descriptor = sys.stdin.fileno()
        self._wait = wait
        self._is_wanted = is_wanted

    def read(self, size: int, /) -> bytes:
        while (block := self.read_within(size, math.inf)) is None:
            pass
        return block

    def read_within(self, size: int, timeout_s: float, /) -> bytes | None:
        if self._wait(self._descriptor, min(timeout_s, _POLL_S)):
            return os.read(self._descriptor, size)
        return None if self._is_wanted() else b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave standard input open: it belongs to the process."""
