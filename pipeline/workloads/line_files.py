"""Files of lines that several processes read, as they were when the run began."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from pipeline.decoding import HEAD_BYTES, Blocks, plain_start, unwrapped
from pipeline.errors import SourceError, one_line
from pipeline.inputs import STANDARD_INPUT, changed
from pipeline.urls import is_url, redacted

_READ_BYTES = 256 * 1024


class _StoredFile(Protocol):
    """A file as it was, which can be pickled: a `_LocalFile` or a `UrlFile`."""

    def open(self, offset: int, /) -> AbstractContextManager[Blocks]:
        """Open the file for reading from an offset to its end as it was.

        Raises:
            SourceError: It can't be read, or is not what it was.
        """


@dataclass(frozen=True, slots=True)
class LineFile:
    """A file of lines as it was when the run began."""

    #: Names it in messages.
    name: str
    stored: _StoredFile
    #: Whether it has to be read from its beginning.
    in_one_go: bool
    #: Where its lines begin, in bytes; 0 if it is read in one go.
    start: int
    #: Bytes of the file; 0 if that is not known.
    size: int

    def blocks(self, start: int, stop: int, block_bytes: int) -> Iterator[bytes]:
        """Yield the bytes between two offsets in blocks of ``block_bytes``.

        Of a file that is read in one go, yield the bytes of all its lines. Its blocks
        may be smaller.

        Raises:
            SourceError: The file can't be read, or is not what it was.
        """
        with _named_failures(self.name), self.stored.open(start) as reader:
            if not self.in_one_go:
                for at in range(start, stop, block_bytes):
                    yield reader.read(min(block_bytes, stop - at))
                return
            block, rest = unwrapped(reader, self.name, _READ_BYTES)
            while block:
                for at in range(0, len(block), block_bytes):
                    yield block[at : at + block_bytes]
                block = rest.read(_READ_BYTES)


@dataclass(frozen=True, slots=True)
class _LocalFile:
    """A file of a file system that all processes have. It may grow."""

    path: str
    size: int
    modified_ns: int
    inode: int

    @contextmanager
    def open(self, offset: int, /) -> Iterator[Blocks]:
        with Path(self.path).open("rb") as file:
            yield _LocalReader(file, self, offset)


class _LocalReader:
    def __init__(self, file: BinaryIO, was: _LocalFile, offset: int) -> None:
        self._file = file
        self._was = was
        self._left = was.size - offset
        self._check_unchanged()
        file.seek(offset)

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
    """Return the file at a path or URL; None for what can be read only once.

    Raises:
        SourceError: It can't be read.
    """
    if path == STANDARD_INPUT:
        return None
    return _at_url(path) if is_url(path) else _at_path(path)


def _at_path(path: str) -> LineFile | None:
    with _named_failures(path):
        # Opening a pipe would wait for a writer.
        if not stat.S_ISREG(Path(path).stat().st_mode):
            return None
        with Path(path).open("rb") as file:
            now = os.fstat(file.fileno())
            head = file.read(HEAD_BYTES)
    if head and not now.st_size:
        return None  # files of /proc say that they have no bytes
    stored = _LocalFile(path, now.st_size, now.st_mtime_ns, now.st_ino)
    start = plain_start(head)
    return LineFile(path, stored, start is None, start or 0, now.st_size)


def _at_url(url: str) -> LineFile:
    from pipeline.url_files import look_at

    stored = look_at(url)
    start = plain_start(stored.head(HEAD_BYTES)) if stored.is_seekable else None
    return LineFile(redacted(url), stored, start is None, start or 0, stored.size or 0)


@contextmanager
def _named_failures(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SourceError(f"can't read {name}: {one_line(error)}") from error
