"""The source of workloads that read lines from a file or from standard input."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.batching import BatchLimits, LineBatch, LineBatcher
from pipeline.errors import SourceError, UsageError, one_line
from pipeline.stage import Opener, Output, Refused, Source
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
    spec: LineSource, limits: BatchLimits, max_records: int, inputs: Opener
) -> Iterator[Output[Lines]]:
    """Yield the lines of ``spec.path`` as batches.

    Raises SourceError where the file can't be read, UsageError for a line limit
    below 1.
    """
    _check_limit(spec.max_line_bytes)
    batcher = LineBatcher(limits, spec.max_line_bytes, max_records)
    with inputs.open(spec.path) as file:
        while not batcher.done:
            try:
                block = file.read(_BLOCK_BYTES)
            except OSError as error:
                raise SourceError(
                    f"can't read {spec.path}: {one_line(error)}"
                ) from error
            if not block:
                break
            yield from map(_output, batcher.feed(block))
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


def _output(batch: LineBatch) -> Output[Lines]:
    lines = Lines(
        first_record=batch.first_record, text=batch.text, too_long=batch.too_long
    )
    return Output(lines, batch.records)


LINES = Source(LineSource, Lines, describe=line_source, read=read_lines)
