"""What may be wrapped around the lines of a source: compression, a byte order mark."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
from collections.abc import Callable

import pytest

from pipeline.decoding import unwrapped
from pipeline.errors import SourceError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
DATA = b"".join(b"line %d\n" % number for number in range(50_000))


class Dripping(io.BytesIO):
    """A file that gives one byte at a time, as a pipe may."""

    def read(self, _: int | None = -1, /) -> bytes:
        """Return the next byte."""
        return super().read(1)


def zstd(data: bytes) -> bytes:
    """Compress as one frame."""
    if sys.version_info >= (3, 14):
        from compression.zstd import compress

        return bytes(compress(data))
    import zstandard

    return zstandard.ZstdCompressor().compress(data)


def read(data: bytes, file: type[io.BytesIO] = io.BytesIO) -> bytes:
    """Return all that `unwrapped` gives, read in small blocks."""
    head, rest = unwrapped(file(data), "in", 1000)
    blocks = [head]
    while block := rest.read(1000):
        assert len(block) <= 1000
        blocks.append(block)
    return b"".join(blocks)


@pytest.mark.parametrize("file", [io.BytesIO, Dripping])
@pytest.mark.parametrize(
    ("wrapped", "data"),
    [
        (b"", b""),
        (b"a\n", b"a\n"),
        (b"\xef\xbb", b"\xef\xbb"),
        (b"\x1f", b"\x1f"),
        (BYTE_ORDER_MARK, b""),
        (BYTE_ORDER_MARK + b"a\n", b"a\n"),
        (2 * BYTE_ORDER_MARK, BYTE_ORDER_MARK),
        (gzip.compress(b""), b""),
        (gzip.compress(BYTE_ORDER_MARK + b"a\n"), b"a\n"),
        (gzip.compress(b"a\n") + gzip.compress(b"b\n") + b"\0" * 9, b"a\nb\n"),
        (zstd(BYTE_ORDER_MARK + b"a\n"), b"a\n"),
        (zstd(b"a\n") + zstd(b"b\n"), b"a\nb\n"),
        (b"BZh91AY&", b"BZh91AY&"),
        (bz2.compress(b""), b""),
        (bz2.compress(b"a\n", 1) + bz2.compress(b"b\n"), b"a\nb\n"),
        (lzma.compress(BYTE_ORDER_MARK + b"a\n") + lzma.compress(b"b"), b"a\nb"),
    ],
    # Compressed data has the time in it, and a name must not change.
    ids=[
        "empty",
        "a-line",
        "half-a-mark",
        "half-a-magic-number",
        "mark-only",
        "mark",
        "two-marks",
        "gzip-empty",
        "gzip-mark",
        "gzip-two-members",
        "zstd-mark",
        "zstd-two-frames",
        "text-like-bzip2",
        "bzip2-empty",
        "bzip2-two-streams",
        "xz-two-streams",
    ],
)
def test_lines_are_found_by_content(
    wrapped: bytes, data: bytes, file: type[io.BytesIO]
) -> None:
    """However few bytes come at once."""
    assert read(wrapped, file) == data


COMPRESS = (
    pytest.param(gzip.compress, id="gzip"),
    pytest.param(zstd, id="zstd"),
    pytest.param(bz2.compress, id="bzip2"),
    pytest.param(lzma.compress, id="xz"),
)


@pytest.mark.parametrize("compress", COMPRESS)
def test_compressed_data_is_read_whole_and_in_blocks(
    compress: Callable[[bytes], bytes],
) -> None:
    """A block is no larger than what was asked for."""
    assert read(compress(DATA)) == DATA


@pytest.mark.parametrize("compress", COMPRESS)
@pytest.mark.parametrize("left_out", [1, 5, 20_000])
def test_compressed_data_that_is_cut_short_is_an_error(
    compress: Callable[[bytes], bytes], left_out: int
) -> None:
    """Wherever it was cut."""
    with pytest.raises(SourceError, match=r"can't read in: its .* data ends early"):
        read(compress(DATA)[:-left_out])


def test_damaged_data_is_an_error() -> None:
    """In the middle, in the checksum, and after the end."""
    whole = gzip.compress(DATA)
    for damaged in (
        whole[:1000] + b"\xff" * 50 + whole[1050:],
        whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:],
        whole + b"rest",
    ):
        with pytest.raises(SourceError, match="its gzip data is damaged"):
            read(damaged)


@pytest.mark.parametrize(
    ("compress", "kind"), [(bz2.compress, "bzip2"), (lzma.compress, "xz")]
)
def test_other_damaged_data_is_an_error(
    compress: Callable[[bytes], bytes], kind: str
) -> None:
    """It names the kind of compression."""
    whole = compress(DATA)

    with pytest.raises(SourceError, match=f"its {kind} data is damaged"):
        read(whole[:1000] + b"\xff" * 50 + whole[1050:])


@pytest.mark.parametrize(
    ("compress", "module"), [(bz2.compress, "bz2"), (lzma.compress, "lzma")]
)
def test_a_python_without_a_module_says_so(
    monkeypatch: pytest.MonkeyPatch, compress: Callable[[bytes], bytes], module: str
) -> None:
    """As some systems build it."""
    data = compress(DATA)
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(SourceError, match="which this Python was built without"):
        read(data)


def test_zstd_without_a_module_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In one line."""
    data = zstd(DATA)
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    monkeypatch.setitem(sys.modules, "zstandard", None)

    with pytest.raises(SourceError, match=r"Python 3.14 or pip install zstandard"):
        read(data)
