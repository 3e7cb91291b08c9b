"""Checks of what ingest sends: how it cuts the records of a source into batches."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from google.protobuf.message import Message

from pipeline.stages import Output
from pipeline.v1.lines_pb2 import LineSource
from pytest_pipeline.conformance.check import (
    can_be_empty,
    check,
    has_its_source,
    reads_lines,
)
from pytest_pipeline.conformance.difference import difference_of
from pytest_pipeline.conformance.errors import Violation
from pytest_pipeline.conformance.ingest_under_test import IngestUnderTest, records_in
from pytest_pipeline.conformance.stage_under_test import NARROW

_SIZES = (1, 7, 1000)
# A byte order mark, each kind of line end, lines without content, and no last line end.
_LINES = b'\xef\xbb\xbf{"a":1}\r\n\n\r\n \rb\n\x00\xff\n\xef\xbb\xbf\n{"last":1}'
_LONGEST = 12
_LONG_LINES = b"a" * 12 + b"\n" + b"b" * 13 + b"\n" + b"c" * 12 + b"\r\n" + b"d" * 99


@check("source.numbers", has_its_source)
async def numbers(stage: IngestUnderTest) -> None:
    """A run finds a lost batch by its number, so batches must be numbered from 0
    without gaps.
    """
    with stage.source() as source:
        batches = await stage.read_well(stage.request(source, batch_records=7))
        wanted = len(stage.expected(source, batch_records=7))
    found = [batch.number for batch in batches]
    if found != list(range(wanted)):
        raise Violation(f"{wanted} batches must be numbered from 0, and are {found}")


@check("source.counts", has_its_source)
async def counts(stage: IngestUnderTest) -> None:
    """A run fails unless every record that ingest counts is accounted for, so the
    counts must add up to the records of the source.
    """
    with stage.source() as source:
        for size in _SIZES:
            request = stage.request(source, batch_records=size)
            found = sum(map(records_in, await stage.read_well(request)))
            wanted = sum(map(records_in, stage.expected(source)))
            if found != wanted:
                raise Violation(
                    f"the source has {wanted} records, and in batches of {size} it "
                    f"counts {found}"
                )


@check("source.type", has_its_source)
async def type_(stage: IngestUnderTest) -> None:
    """The first transform accepts one type of payload and refuses all others."""
    with stage.source() as source:
        for batch in await stage.read_well(stage.request(source)):
            stage.content_of(batch)


@check("source.payload", has_its_source)
async def payload(stage: IngestUnderTest) -> None:
    """Every batch must be the same to the last bit, so that ingest can be replaced by
    one in another language.
    """
    with stage.source() as source:
        for size in _SIZES:
            await _compare(stage, source, batch_records=size)


@check("source.lines", reads_lines)
async def lines(stage: IngestUnderTest) -> None:
    """Parse decides what a line means, so ingest must send the bytes of every line as
    they are, and end each by LF.
    """
    with stage.file(_LINES) as path:
        for size in (1, 1000):
            await _compare(stage, stage.describe(path), batch_records=size)


@check("source.long-lines", reads_lines)
async def long_lines(stage: IngestUnderTest) -> None:
    """A file may be one endless line, so ingest must drop the content of a line that is
    too long, and keep the line.
    """
    with stage.file(_LONG_LINES) as path:
        source = LineSource(path=str(path), max_line_bytes=_LONGEST)
        for size in (1, 1000):
            await _compare(stage, source, batch_records=size)


@check("source.limit-records", has_its_source)
async def limit_records(stage: IngestUnderTest) -> None:
    """Users choose the batch size by its cost, so every batch but the last must have as
    many records as the request says.
    """
    with stage.source() as source:
        for size in _SIZES:
            await _compare_sizes(stage, source, batch_records=size)


@check("source.limit-bytes", has_its_source)
async def limit_bytes(stage: IngestUnderTest) -> None:
    """Memory is bounded by the bytes of a batch, so a batch must be cut before it has
    more of them, and no earlier.
    """
    with stage.source() as source:
        largest = max(
            output.message.ByteSize()
            for output in stage.expected(source, batch_records=1)
        )
        for size in (largest, 3 * largest, 10 * largest + 1):
            await _compare_sizes(stage, source, batch_bytes=size)


@check("source.oversized-record", has_its_source)
async def oversized_record(stage: IngestUnderTest) -> None:
    """A record that is larger than a batch may be must not end the run, so it is a
    batch of its own.
    """
    with stage.source() as source:
        await _compare_sizes(stage, source, batch_bytes=1)


@check("source.max-records", has_its_source)
async def max_records(stage: IngestUnderTest) -> None:
    """A user may run on the first records of a source alone, so ingest must stop after
    as many as the request says.
    """
    with stage.source() as source:
        everything = sum(map(records_in, stage.expected(source)))
        for most in (1, 5, everything, everything + 5):
            await _compare_sizes(stage, source, batch_records=3, max_records=most)


@check("source.empty", can_be_empty)
async def empty(stage: IngestUnderTest) -> None:
    """An empty file is no failure, so an empty source must be an empty stream."""
    with stage.source("empty") as source:
        batches = await stage.read_well(stage.request(source))
    if batches:
        raise Violation(f"an empty source got {len(batches)} batches")


@check("source.two-at-once", has_its_source)
async def two_at_once(stage: IngestUnderTest) -> None:
    """Two runs may share a server at once, and each must get its own batches."""
    with stage.source("long") as source:
        sizes = (70, 110)
        one, other = (stage.request(source, batch_records=size) for size in sizes)
        # Neither stream can end before both are open.
        async with (
            stage.reading(one, NARROW) as first,
            stage.reading(other, NARROW) as second,
        ):
            try:
                for call in (first, second):
                    await call.receive()
                for call in (first, second):
                    await call.rest()
            except Violation as violation:
                raise Violation(f"of two open streams: {violation}") from None
        for call, size in zip((first, second), sizes, strict=True):
            expected = stage.expected(source, batch_records=size)
            try:
                _check_same(expected, list(map(stage.content_of, call.replies)))
            except Violation as violation:
                raise Violation(f"of two open streams: {violation}") from None


async def _compare(stage: IngestUnderTest, source: Message, **limits: int) -> None:
    """Raise Violation unless batches are those of the workload's own source."""
    batches = await stage.read_well(stage.request(source, **limits))
    _check_same(
        stage.expected(source, **limits), [stage.content_of(batch) for batch in batches]
    )


def _check_same(expected: list[Output[Any]], found: list[Output[Any]]) -> None:
    for number, (one, other) in enumerate(zip_longest(expected, found)):
        if one is None or other is None:
            raise Violation(f"there must be {len(expected)} batches, not {len(found)}")
        difference = difference_of(one, other)
        if difference:
            raise Violation(f"batch {number} of {len(expected)}: {difference}")


async def _compare_sizes(
    stage: IngestUnderTest, source: Message, **limits: int
) -> None:
    """Raise Violation unless batches have the sizes of the workload's own source."""
    batches = await stage.read_well(stage.request(source, **limits))
    found = list(map(records_in, batches))
    wanted = list(map(records_in, stage.expected(source, **limits)))
    if found == wanted:
        return
    said = ", ".join(f"{name} {value}" for name, value in limits.items())
    for number, (one, other) in enumerate(zip_longest(wanted, found, fillvalue=0)):
        if one != other:
            raise Violation(
                f"with {said}, batch {number} of {len(wanted)} must have {one} "
                f"records, and has {other}"
            )


CHECKS = (
    numbers,
    counts,
    type_,
    payload,
    lines,
    long_lines,
    limit_records,
    limit_bytes,
    oversized_record,
    max_records,
    empty,
    two_at_once,
)
