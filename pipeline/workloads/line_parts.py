"""Divide a file into parts of whole batches of lines.

One pass counts the line ends in blocks of the file, and their sums tell where each part
begins. Parts begin at multiples of the batch size, so their batches are those of the
whole file.
"""

from __future__ import annotations

import os
import stat
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pipeline.batching import BatchLimits, LineBatch, LineBatcher
from pipeline.decoding import HEAD_BYTES, plain_start
from pipeline.errors import SourceError, one_line
from pipeline.inputs import STANDARD_INPUT, changed
from pipeline.source import MapFunction, Part
from pipeline.stages import Output
from pipeline.v1.lines_pb2 import Lines, LineSource

BLOCK_BYTES = 256 * 1024
PART_BYTES = 16 * 1024 * 1024
# Counting is quicker than reading, so its tasks are larger.
_COUNTED_BYTES = 64 * 1024 * 1024


class _File(NamedTuple):
    """A file as it was when the run began."""

    path: str
    size: int
    modified_ns: int
    inode: int


class _Span(NamedTuple):
    """The blocks of a file that one task counts."""

    file: _File
    start: int
    stop: int
    block_bytes: int

    def __str__(self) -> str:
        return f"lines of {self.file.path} from byte {self.start}"


class _Block(NamedTuple):
    """The line ends in a block, and where in the file the first and the last are."""

    line_ends: int
    first: int
    last: int


class _Where(NamedTuple):
    """Where a part begins: behind so many line ends after an offset."""

    file: _File
    offset: int
    line_ends: int


def divide_lines(
    spec: LineSource,
    limits: BatchLimits,
    max_records: int,
    map_: MapFunction,
    *,
    block_bytes: int = BLOCK_BYTES,
    part_bytes: int = PART_BYTES,
) -> list[Part] | None:
    """Return the parts of a file, about ``part_bytes`` each.

    Returns:
        None for standard input, a pipe, a compressed file, and where the limit of
        bytes may cut a batch: where such batches begin depends on all lines before.

    Raises:
        SourceError: The file can't be read.
    """
    if spec.path == STANDARD_INPUT:
        return None
    path = Path(spec.path)
    with _named_failures(spec.path):
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or not status.st_size:
            return None
        with path.open("rb") as opened:
            start = plain_start(opened.read(HEAD_BYTES))
    if start is None:
        return None
    file = _File(spec.path, status.st_size, status.st_mtime_ns, status.st_ino)
    # Whole blocks, so that blocks are of one size throughout the file.
    step = max(1, _COUNTED_BYTES // block_bytes) * block_bytes
    spans = [
        _Span(file, at, min(at + step, file.size), block_bytes)
        for at in range(start, file.size, step)
    ]
    blocks: list[_Block] = [
        block for counted in map_(count_line_ends, spans) for block in counted
    ]
    ended = not blocks or blocks[-1].last == file.size - 1
    kept = _line_ends_of_kept(blocks, start, file.size, spec.max_line_bytes)
    if not _is_cut_by_records(kept, file.size - start, limits, block_bytes):
        return None
    before = [0, *accumulate(block.line_ends for block in blocks)]
    lines = before[-1] + (not ended)
    wanted = max(1, round(lines * part_bytes / file.size / limits.records))
    total = min(lines, max_records or lines)
    parts = []
    for first in range(0, total, wanted * limits.records):
        # The block with the line end before the part.
        block = max(0, bisect_left(before, first) - 1)
        where = _Where(file, start + block * block_bytes, first - before[block])
        records = min(wanted * limits.records, total - first)
        parts.append(Part(first // limits.records, first + 1, records, where))
    return parts


def count_line_ends(span: _Span) -> list[_Block]:
    """Count the line ends in each block of a span."""
    blocks = []
    with _open(span.file, span.start) as file:
        for at in range(span.start, span.stop, span.block_bytes):
            size = min(span.block_bytes, span.stop - at)
            text = file.read(size)
            if len(text) < size:
                raise changed(span.file.path, "truncated")
            first, last = at + text.find(b"\n"), at + text.rfind(b"\n")
            blocks.append(_Block(text.count(b"\n"), first, last))
    return blocks


def read_line_part(
    spec: LineSource, limits: BatchLimits, part: Part
) -> Iterator[Output[Lines]]:
    """Yield the lines of ``part`` as batches."""
    where: _Where = part.where
    batcher = LineBatcher(limits, spec.max_line_bytes, part.records, lingers=False)
    with _open(where.file, where.offset) as file:
        for block in _blocks_behind(file, where):
            yield from _numbered(batcher.feed(block), part)
            if batcher.done:
                break
    yield from _numbered(batcher.finish(), part)


def lines_output(batch: LineBatch, before: int = 0) -> Output[Lines]:
    """Return a batch of lines as an output; ``before`` it there are other records."""
    lines = Lines(
        first_record=before + batch.first_record,
        text=batch.text,
        too_long=batch.too_long,
    )
    return Output(lines, batch.records)


def _numbered(batches: Iterator[LineBatch], part: Part) -> Iterator[Output[Lines]]:
    for batch in batches:
        yield lines_output(batch, part.first_record - 1)


def _line_ends_of_kept(
    blocks: list[_Block], start: int, stop: int, max_line_bytes: int
) -> list[int]:
    """Return the line ends of each block, without blocks inside lines too long.

    The content of such a line is dropped, so its bytes do not count in a batch.
    """
    kept: list[int] = []
    inside = 0
    for block in (*blocks, _Block(1, stop, stop)):
        if not block.line_ends:
            inside += 1
            continue
        # One byte over may still be the CR of a line end.
        if block.first - start <= max_line_bytes + 1:
            kept += [0] * inside
        kept.append(block.line_ends)
        start, inside = block.last + 1, 0
    return kept[:-1]


def _is_cut_by_records(
    line_ends: list[int], size: int, limits: BatchLimits, block_bytes: int
) -> bool:
    """Return whether certainly no batch reaches the limit of bytes.

    A batch that the limit cuts has more bytes with the line that has no room. Its first
    bytes up to the limit cover whole blocks, with fewer line ends than a full batch.
    """
    if size <= limits.bytes:
        return True
    covered = limits.bytes // block_bytes - 1
    if covered < 1:
        return False
    before = [0, *accumulate(line_ends)]
    return all(
        before[at + covered] - before[at] >= limits.records
        for at in range(len(line_ends) - covered + 1)
    )


def _blocks_behind(file: BinaryIO, where: _Where) -> Iterator[bytes]:
    """Yield the rest of a file in blocks, from behind the line ends to be skipped."""
    left, skip = where.file.size - where.offset, where.line_ends
    while left:
        block = file.read(min(BLOCK_BYTES, left))
        if not block:
            raise changed(where.file.path, "truncated")
        left -= len(block)
        _check_unchanged(file, where.file)
        found = block.count(b"\n") if skip else 0
        if skip > found:
            skip -= found
            continue
        at = -1
        for _ in range(skip):
            at = block.index(b"\n", at + 1)
        skip = 0
        yield block[at + 1 :]


@contextmanager
def _open(file: _File, offset: int) -> Iterator[BinaryIO]:
    """Open a file at an offset, and check that it is what it was."""
    with _named_failures(file.path), Path(file.path).open("rb") as opened:
        _check_unchanged(opened, file)
        opened.seek(offset)
        yield opened


def _check_unchanged(opened: BinaryIO, file: _File) -> None:
    """Raise SourceError if it is not the file that it was; it may have grown."""
    now = os.fstat(opened.fileno())
    if now.st_ino != file.inode:
        raise changed(file.path, "replaced")
    if now.st_size < file.size:
        raise changed(file.path, "truncated")
    if now.st_size == file.size and now.st_mtime_ns != file.modified_ns:
        raise changed(file.path, "written to")


@contextmanager
def _named_failures(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SourceError(f"can't read {path}: {one_line(error)}") from error
