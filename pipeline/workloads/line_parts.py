"""Divide files into parts of whole batches of lines.

One pass counts the line ends in blocks of the files, and their sums tell where each
part begins. Parts begin at multiples of the batch size, so their batches are those of
all lines in a row. What can be read only from its beginning is a part of its own: a
compressed file, and one that comes over HTTP.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, groupby
from typing import NamedTuple

from pipeline.batching import BatchLimits, LineBatch, LineBatcher
from pipeline.inputs import separate_paths
from pipeline.line_ends import count_lines
from pipeline.source import MapFunction, Part
from pipeline.stages import Output
from pipeline.v1.lines_pb2 import Lines, LineSource
from pipeline.workloads.line_files import LineFile, line_file

BLOCK_BYTES = 256 * 1024
PART_BYTES = 16 * 1024 * 1024
# Counting is quicker than reading, so its tasks are larger.
_COUNTED_BYTES = 64 * 1024 * 1024

# The first line of a part, from 0, and that of the next one.
_Cut = tuple[int, int]


class _Span(NamedTuple):
    """Blocks of a file that are counted together."""

    file: LineFile
    start: int
    stop: int


class _Spans(NamedTuple):
    """What one task counts."""

    spans: tuple[_Span, ...]
    block_bytes: int

    def __str__(self) -> str:
        first = self.spans[0]
        return f"lines of {first.file.name} from byte {first.start}"


class _Block(NamedTuple):
    """The line ends in a block, and where in the file the first and the last are."""

    line_ends: int
    first: int
    last: int


class _CountedSpan(NamedTuple):
    blocks: list[_Block]
    #: Where the last block ends; in a compressed file, counted in its text.
    stop: int


class _Counted(NamedTuple):
    """A file, and its lines."""

    file: LineFile
    #: Where the lines end, with the line end that the last one may lack.
    stop: int
    line_ends: list[int]
    #: The same, without those of blocks in which no byte is kept.
    kept: list[int]

    @property
    def lines(self) -> int:
        return sum(self.line_ends)


class _Where(NamedTuple):
    """Where a part begins, and the files that it is in."""

    files: tuple[LineFile, ...]
    #: It begins behind so many line ends after an offset of the first file.
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
    """Return the parts of the files, about ``part_bytes`` each.

    Returns:
        None for standard input, a pipe, a single file that is read in one go, and where
        the limit of bytes may cut a batch: where such batches begin depends on all
        lines before.

    Raises:
        SourceError: A file can't be read.
    """
    files = []
    for path in separate_paths(spec.path):
        file = line_file(path)
        if file is None:
            return None
        files.append(file)
    if len(files) == 1 and files[0].in_one_go:
        return None  # it would be one part
    counted = [
        _lines_of(file, spans, spec.max_line_bytes)
        for file, spans in _counted_spans(files, map_, block_bytes)
    ]
    size = sum(it.stop - it.file.start for it in counted)
    kept = [line_ends for it in counted for line_ends in it.kept]
    if not _is_cut_by_records(kept, size, limits, block_bytes):
        return None
    lines = sum(it.lines for it in counted)
    records = limits.records
    step = max(1, round(lines * part_bytes / max(1, size) / records)) * records
    total = min(lines, max_records or lines)
    return [
        Part(first // records, first + 1, stop - first, where)
        for (first, stop), where in _places(
            counted, list(_cuts(counted, records, step, total)), block_bytes
        )
    ]


def _counted_spans(
    files: Sequence[LineFile], map_: MapFunction, block_bytes: int
) -> Iterator[tuple[LineFile, list[_CountedSpan]]]:
    """Count; yield each file with its spans."""
    spans = [list(_spans_of(file, block_bytes)) for file in files]
    tasks = _tasks((span for of_file in spans for span in of_file), block_bytes)
    counted = (span for done in map_(count_line_ends, tasks) for span in done)
    for file, of_file in zip(files, spans, strict=True):
        yield file, [next(counted) for _ in of_file]


def _spans_of(file: LineFile, block_bytes: int) -> Iterator[_Span]:
    if file.in_one_go:
        yield _Span(file, file.start, file.size)
        return
    # Whole blocks, so that blocks are of one size throughout a file.
    step = max(1, _COUNTED_BYTES // block_bytes) * block_bytes
    for at in range(file.start, file.size, step):
        yield _Span(file, at, min(at + step, file.size))


def _tasks(spans: Iterable[_Span], block_bytes: int) -> Iterator[_Spans]:
    """Gather spans of small files, so that each task is worth its call."""
    gathered: list[_Span] = []
    size = 0
    for span in spans:
        if gathered and size + span.stop - span.start > _COUNTED_BYTES:
            yield _Spans(tuple(gathered), block_bytes)
            gathered, size = [], 0
        gathered.append(span)
        size += span.stop - span.start
    if gathered:
        yield _Spans(tuple(gathered), block_bytes)


def count_line_ends(task: _Spans) -> list[_CountedSpan]:
    """Count the line ends in each block of each span."""
    return [_count(span, task.block_bytes) for span in task.spans]


def _count(span: _Span, block_bytes: int) -> _CountedSpan:
    blocks, at = [], span.start
    for text in span.file.blocks(span.start, span.stop, block_bytes):
        first, last = at + text.find(b"\n"), at + text.rfind(b"\n")
        blocks.append(_Block(count_lines(text), first, last))
        at += len(text)
    return _CountedSpan(blocks, at)


def _lines_of(
    file: LineFile, spans: Sequence[_CountedSpan], max_line_bytes: int
) -> _Counted:
    """Return the lines of a file; its last line ends where the file does."""
    blocks = [block for span in spans for block in span.blocks]
    stop = spans[-1].stop if spans else file.start
    if blocks and blocks[-1].last != stop - 1:
        blocks.append(_Block(1, stop, stop))
        stop += 1
    kept = _line_ends_of_kept(blocks, file.start, stop, max_line_bytes)
    return _Counted(file, stop, [block.line_ends for block in blocks], kept)


def _cuts(
    counted: Sequence[_Counted], records: int, step: int, total: int
) -> Iterator[_Cut]:
    """Cut the lines of all files into parts of ``step`` lines.

    The lines of a file that is read in one go are in one part, but for those that fill
    the last batch of the part before.
    """
    start = lines = 0
    numbered = groupby(
        enumerate(counted), lambda it: it[0] if it[1].file.in_one_go else None
    )
    for own_part, files in numbered:
        lines += sum(it.lines for _, it in files)
        # The batch that has the last of them belongs to their part.
        stop = min(-(-lines // records) * records, total)
        size = step if own_part is None else max(1, stop - start)
        for first in range(start, stop, size):
            yield first, min(first + size, stop)
        start = max(start, stop)


def _places(
    counted: Sequence[_Counted], cuts: Sequence[_Cut], block_bytes: int
) -> Iterator[tuple[_Cut, _Where]]:
    """Yield each part with the place where it begins."""
    files = [it.file for it in counted]
    firsts = [0, *accumulate(it.lines for it in counted)]
    ends_before = [[0, *accumulate(it.line_ends)] for it in counted]
    for first, stop in cuts:
        at, last = bisect_right(firsts, first) - 1, bisect_left(firsts, stop)
        offset, skip = files[at].start, first - firsts[at]
        if not files[at].in_one_go:
            # The block with the line end before the part.
            block = max(0, bisect_left(ends_before[at], skip) - 1)
            offset += block * block_bytes
            skip -= ends_before[at][block]
        yield (first, stop), _Where(tuple(files[at:last]), offset, skip)


def read_line_part(
    spec: LineSource, limits: BatchLimits, part: Part
) -> Iterator[Output[Lines]]:
    """Yield the lines of ``part`` as batches."""
    where: _Where = part.where
    batcher = LineBatcher(limits, spec.max_line_bytes, part.records)
    batcher.lingers = False
    offset, skip = where.offset, where.line_ends
    for file in where.files:
        start = max(offset, file.start)
        for block in _behind(file.blocks(start, file.size, BLOCK_BYTES), skip):
            yield from _numbered(batcher.feed(block), part)
            if batcher.done:
                break
        yield from _numbered(batcher.end_line(), part)
        offset = skip = 0
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


def _behind(blocks: Iterable[bytes], line_ends: int) -> Iterator[bytes]:
    """Yield what comes in the blocks behind so many line ends."""
    skip = line_ends
    for block in blocks:
        found = block.count(b"\n") if skip else 0
        if skip > found:
            skip -= found
            continue
        at = -1
        for _ in range(skip):
            at = block.index(b"\n", at + 1)
        skip = 0
        yield block[at + 1 :]
