"""The source of workloads that read lines from a file or from standard input."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from pipeline.batching import BatchLimits, LineBatch, LineBatcher
from pipeline.errors import SourceError, UsageError, one_line
from pipeline.source import ByteReader, Opener, Source, WaitingReader
from pipeline.stages import Output, Refused
from pipeline.v1.lines_pb2 import Lines, LineSource

DEFAULT_MAX_LINE_BYTES = 1024 * 1024

_BLOCK_BYTES = 256 * 1024


def line_source(
    path: str | Path, max_line_bytes: int = DEFAULT_MAX_LINE_BYTES
) -> LineSource:
    """Describe the lines of ``path``; "-" is standard input.

    Raises UsageError for a line limit below 1.
    """
    _check_limit(max_line_bytes)
    return LineSource(path=str(path), max_line_bytes=max_line_bytes)


def read_lines(
    spec: LineSource,
    limits: BatchLimits,
    max_records: int,
    inputs: Opener,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Output[Lines]]:
    """Yield the lines of ``spec.path`` as batches.

    A linger, in seconds of ``clock``, is kept where the reader can stop waiting; a file
    has nothing to wait for. Raises SourceError where the file can't be read, UsageError
    for a line limit below 1.
    """
    _check_limit(spec.max_line_bytes)
    with inputs.open(spec.path) as file:
        if not isinstance(file, WaitingReader):
            limits = replace(limits, linger_s=None)
        batcher = LineBatcher(limits, spec.max_line_bytes, max_records, clock)
        while not batcher.done:
            try:
                block = _read(file, batcher.due_in_s())
            except OSError as error:
                raise SourceError(
                    f"can't read {spec.path}: {one_line(error)}"
                ) from error
            if block:
                yield from map(_output, batcher.feed(block))
            elif block is not None:
                break
            yield from map(_output, batcher.cut_due())
    yield from map(_output, batcher.finish())


def numbered_lines(lines: Lines) -> Iterator[tuple[int, bytes | None]]:
    """Yield each line's record number, and the line without its end.

    None stands for a line that was too long.
    """
    too_long = set(lines.too_long)
    texts = lines.text.split(b"\n")
    del texts[-1]  # what follows the last LF: nothing
    for position, text in enumerate(texts):
        line = None if position in too_long else text.removesuffix(b"\r")
        yield lines.first_record + position, line


def decoded(line: bytes | None) -> str:
    """Decode a line of `numbered_lines`.

    Raises Refused for one that was too long (line_too_long), or is not UTF-8
    (not_utf8).
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


def _read(file: ByteReader, timeout_s: float) -> bytes | None:
    """Return the next block, none at the end; None if there is nothing yet."""
    if isinstance(file, WaitingReader):
        return file.read_within(_BLOCK_BYTES, timeout_s)
    return file.read(_BLOCK_BYTES)


def _output(batch: LineBatch) -> Output[Lines]:
    lines = Lines(
        first_record=batch.first_record, text=batch.text, too_long=batch.too_long
    )
    return Output(lines, batch.records)


LINES = Source(LineSource, Lines, describe=line_source, read=read_lines)
