"""Files of lines that several processes read, as they were when the run began."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pipeline.decoding import HEAD_BYTES, plain_start, unwrapped
from pipeline.errors import SourceError, one_line
from pipeline.inputs import STANDARD_INPUT, changed

_READ_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class LineFile:
    """A file as it was when the run began. It may grow since."""

    path: str
    #: Whether it has to be read from its beginning.
    is_compressed: bool
    #: Where its lines begin, in bytes; 0 if it is compressed.
    start: int
    #: Bytes of the file.
    size: int
    modified_ns: int
    inode: int

    def blocks(self, start: int, stop: int, block_bytes: int) -> Iterator[bytes]:
        """Yield the bytes between two offsets in blocks of ``block_bytes``.

        Of a compressed file, yield all that is in it. Its blocks may be smaller.

        Raises:
            SourceError: The file can't be read, or is not what it was.
        """
        with _named_failures(self.path), Path(self.path).open("rb") as file:
            reader = _Reader(file, self, start, stop)
            if not self.is_compressed:
                while block := reader.read(block_bytes):
                    yield block
                return
            head, rest = unwrapped(reader, self.path, _READ_BYTES)
            while head:
                for at in range(0, len(head), block_bytes):
                    yield head[at : at + block_bytes]
                head = rest.read(_READ_BYTES)


class _Reader:
    """Reads the bytes of a file between two offsets; the file must be what it was."""

    def __init__(self, file: BinaryIO, was: LineFile, start: int, stop: int) -> None:
        self._file = file
        self._was = was
        self._left = stop - start
        self._check_unchanged()
        file.seek(start)

    def read(self, size: int, /) -> bytes:
        size = min(size, self._left)
        block = self._file.read(size)
        self._check_unchanged()
        if len(block) < size:
            raise changed(self._was.path, "truncated")
        self._left -= size
        return block

    def _check_unchanged(self) -> None:
        was, now = self._was, os.fstat(self._file.fileno())
        if now.st_ino != was.inode:
            raise changed(was.path, "replaced")
        if now.st_size < was.size:
            raise changed(was.path, "truncated")
        if now.st_size == was.size and now.st_mtime_ns != was.modified_ns:
            raise changed(was.path, "written to")


def line_file(path: str) -> LineFile | None:
    """Return the file at ``path``; None for what can be read only once.

    Raises:
        SourceError: It can't be read.
    """
    if path == STANDARD_INPUT:
        return None
    with _named_failures(path):
        # Opening a pipe would wait for a writer.
        if not stat.S_ISREG(Path(path).stat().st_mode):
            return None
        with Path(path).open("rb") as file:
            status = os.fstat(file.fileno())
            head = file.read(HEAD_BYTES)
    start = plain_start(head)
    if head and not status.st_size:
        return None  # files of /proc say that they have no bytes
    return LineFile(
        path,
        is_compressed=start is None,
        start=start or 0,
        size=status.st_size,
        modified_ns=status.st_mtime_ns,
        inode=status.st_ino,
    )


@contextmanager
def _named_failures(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SourceError(f"can't read {path}: {one_line(error)}") from error
