"""Open files, pipes, URLs and standard input for a source."""

from __future__ import annotations

import fcntl
import math
import os
import select
import stat
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Self

from pipeline.errors import SourceError, one_line
from pipeline.source import ByteReader
from pipeline.urls import is_url, redacted

STANDARD_INPUT = "-"

# No path has it. So an ingest that takes one path only finds no file, instead of
# reading the first and leaving out the others.
_BETWEEN_PATHS = "\0"

# How often a reader of a pipe checks whether the run has ended.
_POLL_S = 0.1
# What a user's pipe may hold under Linux. The default is 64 KiB, less than a batch.
_PIPE_BYTES = 1024 * 1024
_SET_PIPE_SIZE: int | None = getattr(fcntl, "F_SETPIPE_SZ", None)


def joined_paths(paths: Iterable[str]) -> str:
    """Return several paths as the one text by which a `LineSource` names them."""
    return _BETWEEN_PATHS.join(paths)


def separate_paths(joined: str) -> list[str]:
    """Return the paths that `joined_paths` has joined."""
    return joined.split(_BETWEEN_PATHS)


class Inputs:
    """Opens inputs for a source, and measures the time spent waiting for them.

    Args:
        resolve: Returns the path to open for the path that the source asked for, or
            raises SourceError.
        is_wanted: Called while a pipe has nothing to read. Once it returns False, the
            pipe reads as ended.
        pipes: Whether named pipes and devices are opened.
        urls: Whether URLs are opened.
    """

    def __init__(
        self,
        resolve: Callable[[str], Path] = Path,
        is_wanted: Callable[[], bool] = lambda: True,
        *,
        pipes: bool = True,
        urls: bool = True,
    ) -> None:
        self._resolve = resolve
        self._is_wanted = is_wanted
        self._pipes = pipes
        self._urls = urls
        self._waited_ns = 0

    def open(self, path: str) -> ByteReader:
        """Open ``path`` for reading; "-" is standard input.

        A file is read up to the size that it has now.

        Raises:
            SourceError: It can't be read.
        """
        if is_url(path):
            return self._open_url(path)
        target = self._resolve(path)
        if path == STANDARD_INPUT:
            if sys.stdin is None or sys.stdin.closed:
                raise SourceError("can't read standard input: it is closed")
            descriptor = sys.stdin.fileno()
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return _File(descriptor, "standard input")
            return _Pipe(descriptor, self._wait, self._is_wanted)
        try:
            # By its real path, since a link may point elsewhere meanwhile.
            real = Path(os.path.realpath(target))
            # Opening a device may do something to it, so this comes first.
            if not (self._pipes or real.is_file() or real.is_dir()) and real.exists():
                raise SourceError(
                    f"can't read {path}: it is a pipe or a device, and this ingest "
                    f"reads files only"
                )
            # Opening a pipe without O_NONBLOCK waits for a writer, and nobody could
            # tell it that the run has ended.
            descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK)
            try:
                mode = os.fstat(descriptor).st_mode
                if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
                    return _File(descriptor, path, real)  # refuses a folder
            except BaseException:
                os.close(descriptor)
                raise
        except OSError as error:
            raise SourceError(f"can't read {path}: {one_line(error)}") from error
        return _Pipe(descriptor, self._wait, self._is_wanted, is_ours=True)

    def _open_url(self, url: str) -> ByteReader:
        if not self._urls:
            raise SourceError(f"can't read {redacted(url)}: this ingest opens no URLs")
        from pipeline.url_files import UrlReader, look_at

        return UrlReader(look_at(url), on_waited=self._waited)

    def _waited(self, nanoseconds: int) -> None:
        self._waited_ns += nanoseconds

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
            self._waited(time.perf_counter_ns() - start)


def changed(name: str, how: str) -> SourceError:
    """Return the error of a file that was truncated, replaced or the like."""
    return SourceError(
        f"{name} was {how} while it was read; run again when nothing changes it"
    )


class _File(FileIO):
    """A file that must not change while it is read, except that it may grow.

    Args:
        descriptor: An open descriptor of it.
        name: Names the file in errors.
        path: Where it must still be at the end; None for standard input, which is also
            left open.
    """

    def __init__(self, descriptor: int, name: str, path: Path | None = None) -> None:
        super().__init__(descriptor, closefd=path is not None)
        self._opened = os.fstat(descriptor)
        # Files of /proc say that they have no bytes, and are read to their end.
        self._has_size = self._opened.st_size > 0
        start = os.lseek(descriptor, 0, os.SEEK_CUR)
        self._left = max(0, self._opened.st_size - start)
        self._named = name
        self._path = path

    def read(self, size: int | None = -1, /) -> bytes:
        """Return up to ``size`` bytes; none at the end.

        Raises:
            SourceError: The file has changed.
        """
        if self._has_size:
            size = self._left if size is None or size < 0 else min(size, self._left)
        block = super().read(-1 if size is None else size) or b""
        if self._has_size:
            self._left -= len(block)
            if not block and size:
                raise self._changed("truncated")
            self.check()
        return block

    def check(self) -> None:
        """Raise SourceError if the file is not what was opened."""
        opened, now = self._opened, os.fstat(self.fileno())
        if now.st_size < opened.st_size:
            raise self._changed("truncated")
        # A larger file was appended to, and what was there before is read.
        if now.st_size == opened.st_size and now.st_mtime_ns != opened.st_mtime_ns:
            raise self._changed("written to")
        if self._path is None or self._left:
            return
        try:
            there = self._path.stat()
        except OSError:
            raise self._changed("removed") from None
        if not os.path.samestat(there, opened):
            raise self._changed("replaced")

    def _changed(self, how: str) -> SourceError:
        return changed(self._named, how)


class _Pipe:
    """A pipe, a device or a terminal: something whose bytes have to be waited for."""

    def __init__(
        self,
        descriptor: int,
        wait: Callable[[int, float], bool],
        is_wanted: Callable[[], bool],
        *,
        is_ours: bool = False,
    ) -> None:
        self._descriptor = descriptor
        self._wait = wait
        self._is_wanted = is_wanted
        self._is_ours = is_ours
        if _SET_PIPE_SIZE is not None:
            # A device or a terminal refuses, and so may the system.
            with suppress(OSError):
                fcntl.fcntl(descriptor, _SET_PIPE_SIZE, _PIPE_BYTES)

    def read(self, size: int, /) -> bytes:
        while (block := self.read_within(size, math.inf)) is None:
            pass
        return block

    def read_within(self, size: int, timeout_s: float, /) -> bytes | None:
        if self._wait(self._descriptor, min(timeout_s, _POLL_S)):
            try:
                return os.read(self._descriptor, size)
            except BlockingIOError:
                return None  # another reader of it was faster
        return None if self._is_wanted() else b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close it, except standard input, which belongs to the process."""
        if self._is_ours:
            os.close(self._descriptor)
