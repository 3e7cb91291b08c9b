"""Recognise and undo what may be wrapped around the lines of a source.

That is compression by gzip, bzip2, xz or zstd, and a byte order mark. Both are found by
content.
"""

from __future__ import annotations

import gzip
import importlib
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Protocol, cast

from pipeline.errors import SourceError, one_line
from pipeline.source import WaitingReader

# Text may begin like the first three bytes of bzip2, but not like its first block.
_KINDS = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\x00": "xz",
    **{
        b"BZh%d%b" % (level, block): "bzip2"
        for level in range(1, 10)
        for block in (b"1AY&SY", b"\x17rE8P\x90")
    },
}
# Four bytes can stand for 128 KiB, so little is decompressed at once.
_ZSTD_PIECE_BYTES = 1024
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
#: So many bytes of a file tell what is wrapped around its lines.
HEAD_BYTES = max(map(len, _KINDS))


class Blocks(Protocol):
    """Something to read blocks of bytes from."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes; none at the end."""


def unwrapped(file: Blocks, path: str, block_bytes: int) -> tuple[bytes, Blocks]:
    """Return the first bytes of the lines in ``file``, and where to read the rest.

    Args:
        file: An input that was just opened.
        path: Names it in errors.
        block_bytes: How much to read at once.

    Returns:
        The first block, without a byte order mark, and ``file`` itself or a reader of
        what is compressed in it.

    Raises:
        SourceError: It is compressed, and no module of this Python can read that.
    """
    head = _head(file, block_bytes, (*_KINDS, _BYTE_ORDER_MARK))
    rest: Blocks = file
    if kind := _compression(head):
        rest = _Compressed(kind, _Unread(head, file), path)
        head = _head(rest, block_bytes, (_BYTE_ORDER_MARK,))
    return head.removeprefix(_BYTE_ORDER_MARK), rest


def plain_start(head: bytes) -> int | None:
    """Return where the lines of a file begin; None if they are compressed.

    Args:
        head: The first `HEAD_BYTES` of the file, or more; fewer if it has no more.
    """
    if _compression(head):
        return None
    return len(_BYTE_ORDER_MARK) if head.startswith(_BYTE_ORDER_MARK) else 0


def _compression(head: bytes) -> str:
    """Return the kind of compression; empty if it is none."""
    return next((_KINDS[mark] for mark in _KINDS if head.startswith(mark)), "")


def _head(file: Blocks, block_bytes: int, marks: tuple[bytes, ...]) -> bytes:
    """Return the first block; of a pipe, enough to tell whether it begins by a mark."""
    head = _first_block(file, block_bytes)
    while any(len(head) < len(mark) and mark.startswith(head) for mark in marks):
        block = _first_block(file, block_bytes)
        if not block:
            break
        head += block
    return head


def _first_block(file: Blocks, block_bytes: int) -> bytes:
    if not isinstance(file, WaitingReader):
        return file.read(block_bytes)
    while (block := file.read_within(block_bytes, math.inf)) is None:
        pass
    return block


class _Unread:
    """A file whose first bytes were read before."""

    def __init__(self, head: bytes, file: Blocks) -> None:
        self._head = head
        self._file = file

    def read(self, size: int, /) -> bytes:
        if not self._head:
            return self._file.read(size)
        block, self._head = self._head[:size], self._head[size:]
        return block


class _Compressed:
    """Reads what is compressed; raises SourceError if that is damaged or ends early."""

    def __init__(self, kind: str, file: Blocks, path: str) -> None:
        self._kind = kind
        self._path = path
        self._reader, self._damage = _reader(kind, cast("IO[bytes]", file), path)

    def read(self, size: int, /) -> bytes:
        with self._named_failures():
            return self._reader.read(size)

    @contextmanager
    def _named_failures(self) -> Iterator[None]:
        try:
            yield
        except SourceError:
            raise
        except EOFError:
            raise SourceError(
                f"can't read {self._path}: its {self._kind} data ends early; it was "
                f"cut short"
            ) from None
        except self._damage as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the file can't be read
            raise SourceError(
                f"can't read {self._path}: its {self._kind} data is damaged: "
                f"{one_line(error)}"
            ) from error


class _ZstdFrames:
    """Reads frames with the package zstandard, whose own reader ignores a cut end."""

    def __init__(self, module: Any, file: Blocks) -> None:
        self._module = module
        self._file = file
        self._frame: Any = None
        self._compressed = b""
        self._plain = b""

    def read(self, size: int, /) -> bytes:
        while not self._plain:
            self._compressed = self._compressed or self._file.read(size)
            if not self._compressed:
                if self._frame is not None:
                    raise EOFError
                return b""
            self._decompress_some()
        block, self._plain = self._plain[:size], self._plain[size:]
        return block

    def _decompress_some(self) -> None:
        piece = self._compressed[:_ZSTD_PIECE_BYTES]
        self._compressed = self._compressed[_ZSTD_PIECE_BYTES:]
        if self._frame is None:
            self._frame = self._module.ZstdDecompressor().decompressobj()
        self._plain = self._frame.decompress(piece)
        if self._frame.eof:
            self._compressed = self._frame.unused_data + self._compressed
            self._frame = None


def _zstd_module() -> Any:
    """Return the module that reads zstd; None if there is none."""
    for name in ("compression.zstd", "zstandard"):
        try:
            return importlib.import_module(name)
        except ImportError:
            pass
    return None


def _reader(
    kind: str, file: IO[bytes], path: str
) -> tuple[Blocks, tuple[type[Exception], ...]]:
    """Return a reader of what is in the file, and what it raises for damaged data."""
    if kind == "gzip":
        return gzip.GzipFile(fileobj=file), (gzip.BadGzipFile, zlib.error)
    if kind == "zstd":
        module = _zstd_module()
        if module is None:
            raise SourceError(
                f"can't read {path}: it is compressed by zstd, which needs Python 3.14 "
                f"or pip install zstandard"
            )
        reader = (
            module.ZstdFile(file)
            if hasattr(module, "ZstdFile")
            else _ZstdFrames(module, file)
        )
        return reader, (module.ZstdError,)
    # A Python that was built without their libraries lacks these modules.
    try:
        if kind == "xz":
            import lzma

            return lzma.LZMAFile(file), (lzma.LZMAError,)
        import bz2

        return bz2.BZ2File(file), (OSError,)
    except ImportError:
        raise SourceError(
            f"can't read {path}: it is compressed by {kind}, which this Python was "
            f"built without"
        ) from None
