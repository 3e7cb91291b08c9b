"""The source `LINES`: lines of files or of standard input."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.batching import BatchLimits, LineBatch, LineBatcher, LiveLimits
from pipeline.decoding import Blocks, unwrapped
from pipeline.errors import SourceError, UsageError, one_line
from pipeline.inputs import joined_paths, separate_paths
from pipeline.source import ByteReader, Division, Opener, Source, WaitingReader
from pipeline.stages import Output, Refused
from pipeline.urls import redacted
from pipeline.v1.lines_pb2 import Lines, LineSource
from pipeline.workloads.line_parts import divide_lines, lines_output, read_line_part

DEFAULT_MAX_LINE_BYTES = 1024 * 1024

_BLOCK_BYTES = 256 * 1024


def line_source(
    path: str | Path,
    max_line_bytes: int = DEFAULT_MAX_LINE_BYTES,
    more: Sequence[str | Path] = (),
) -> LineSource:
    """Return the spec of the lines of a file, or of several.

    Args:
        path: The file; "-" is standard input.
        max_line_bytes: Longer lines are rejected. The line end does not count.
        more: Files that are read after it, in this order. The last line of a file ends
            with the file.

    Raises:
        UsageError: ``max_line_bytes`` is below 1, or the path is not UTF-8.
    """
    _check_limit(max_line_bytes)
    paths = [str(path) for path in (path, *more)]
    for name in paths:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise UsageError(
                f"path {name!r}: is not UTF-8, so no message can carry it; rename "
                f"it, or give its content as standard input"
            ) from None
    return LineSource(path=joined_paths(paths), max_line_bytes=max_line_bytes)


def read_lines(
    spec: LineSource,
    limits: BatchLimits,
    max_records: int,
    inputs: Opener,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Output[Lines]]:
    """Yield the lines of ``spec.path`` as batches; see `ReadFunction`.

    The lines of several files are numbered, and batched, as if they were one file.
    Lines that gzip, bzip2, xz or zstd has compressed are read as well, and a byte order
    mark at the start of a file is skipped.

    ``limits.linger_s`` applies to standard input and pipes, unless they are compressed,
    since a file never makes its reader wait.

    Args:
        spec: The files, and the longest line.
        limits: When a batch is full.
        max_records: Stop after so many lines; 0 reads all.
        inputs: Opens the files, each when the one before it is through.
        clock: Returns seconds, for the linger.

    Raises:
        SourceError: A file can't be read.
        UsageError: ``spec.max_line_bytes`` is below 1.
    """
    _check_limit(spec.max_line_bytes)
    batcher = LineBatcher(limits, spec.max_line_bytes, max_records, clock)
    gathers = isinstance(limits, LiveLimits)
    for path in separate_paths(spec.path):
        if batcher.done:
            break
        name = redacted(path)
        with inputs.open(path) as file:
            yield from map(lines_output, _fed(batcher, file, name, gathers=gathers))
        yield from map(lines_output, batcher.end_line())
    yield from map(lines_output, batcher.finish())


def _fed(
    batcher: LineBatcher, file: ByteReader, name: str, *, gathers: bool
) -> Iterator[LineBatch]:
    """Feed a file to the batcher; yield the batches that are full or due."""
    with _named_failures(name):
        block, blocks = unwrapped(file, name, _BLOCK_BYTES)
    batcher.lingers = isinstance(blocks, WaitingReader)
    yield from batcher.feed(block)
    while not batcher.done:
        with _named_failures(name):
            more = _read(blocks, batcher.due_in_s())
        if more:
            yield from batcher.feed(more)
            if gathers:
                continue  # what is there goes into the batch, however late
        elif more is not None:
            break
        yield from batcher.cut_due()


def numbered_lines(lines: Lines) -> Iterator[tuple[int, bytes | None]]:
    """Yield the record number of each line, and the line without its end.

    The line is None if it was too long.
    """
    too_long = set(lines.too_long)
    texts = lines.text.split(b"\n")
    del texts[-1]  # empty: every line ends with LF
    for position, text in enumerate(texts):
        line = None if position in too_long else text.removesuffix(b"\r")
        yield lines.first_record + position, line


def cut_lines(lines: Lines, start: int, stop: int) -> Lines:
    """Return the lines from one position up to another, with their numbers."""
    texts = lines.text.split(b"\n")[start:stop]
    return Lines(
        first_record=lines.first_record + start,
        text=b"".join(text + b"\n" for text in texts),
        too_long=[each - start for each in lines.too_long if start <= each < stop],
    )


def decoded(line: bytes | None) -> str:
    """Return a line of `numbered_lines` as text.

    Raises:
        Refused: The line was too long (``line_too_long``) or is not UTF-8
            (``not_utf8``).
    """
    if line is None:
        raise Refused("line_too_long")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise Refused("not_utf8") from None


def _check_limit(max_line_bytes: int) -> None:
    if max_line_bytes < 1:
        raise UsageError(f"line limit {max_line_bytes}: must be 1 byte or more")


@contextmanager
def _named_failures(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SourceError(f"can't read {name}: {one_line(error)}") from error


def _read(file: Blocks, timeout_s: float) -> bytes | None:
    """Return the next block, empty at the end; None if it has not come yet."""
    if isinstance(file, WaitingReader):
        return file.read_within(_BLOCK_BYTES, timeout_s)
    return file.read(_BLOCK_BYTES)


#: Reads the lines of files or of standard input, as `Lines`.
LINES = Source(
    LineSource,
    Lines,
    describe=line_source,
    read=read_lines,
    live_limits=True,
    repeatable=True,
    division=Division(read_lines, divide_lines, read_line_part),
    cut=cut_lines,
)
