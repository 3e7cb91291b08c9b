"""Checks of results: the stage must equal the workload's own function."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import zip_longest
from typing import Any

from hypothesis import given
from hypothesis.errors import FlakyFailure

from pipeline.stages import Output
from pytest_pipeline.conformance.check import check
from pytest_pipeline.conformance.difference import (
    counts_difference,
    difference_of,
    payload_difference,
    rejections_difference,
)
from pytest_pipeline.conformance.errors import Violation
from pytest_pipeline.conformance.transform_under_test import (
    Request,
    TransformUnderTest,
)
from pytest_pipeline.invariance.engines import SplitStages
from pytest_pipeline.invariance.partitioned_stream import (
    InvarianceError,
    PartitionedStream,
)
from pytest_pipeline.invariance.search import quiet_search
from pytest_pipeline.records.payloads import shown
from pytest_pipeline.records.streams import Partition, Stream
from pytest_pipeline.strategies import partitions, streams

Difference = Callable[[Output[Any], Output[Any]], str]

_EXAMPLES = 100
_SIZES = (1, 9, 30, 2)
# Larger batches are unreadable; result.any-records finds the smallest.
_SHOWN_RECORDS = 3


@check("result.counts")
async def counts(stage: TransformUnderTest) -> None:
    """How many records are passed, filtered and rejected is part of the result."""
    await _compare(stage, counts_difference)


@check("result.rejections")
async def rejections(stage: TransformUnderTest) -> None:
    """A stage must reject exactly the records that the workload rejects, each with its
    number in the run, its reason and its field.
    """
    await _compare(stage, rejections_difference)


@check("result.payload")
async def payload(stage: TransformUnderTest) -> None:
    """The payload must be the same to the last bit, so that a stage can be replaced by
    one in another language.
    """
    await _compare(stage, payload_difference)


@check("result.any-records")
def any_records(stage: TransformUnderTest) -> None:
    """What holds for the sample must hold for records of every kind that the workload
    knows, and for every partition.
    """

    # The same examples in every run, so that a verdict can be repeated.
    @quiet_search(_EXAMPLES, derandomize=True)
    @given(streams(stage.workload, stage.data), partitions())
    def same(stream: Stream, partition: Partition) -> None:
        sent = stage.requests_of(stream, partition)
        asyncio.run(_compare_batches(stage, sent, difference_of))

    try:
        same()
    except Violation as violation:
        raise Violation(str(violation)) from None
    except FlakyFailure as flaky:
        raise Violation(
            f"the same batches are not answered the same each time: "
            f"{flaky.exceptions[0]}"
        ) from None


@check("result.end-to-end")
def end_to_end(stage: TransformUnderTest) -> None:
    """A whole run with the stage in its place must give what one process gives, byte
    for byte.
    """
    partitioned = PartitionedStream(stage.workload, stage.sample, _SIZES)
    with SplitStages(
        stage.workload,
        addresses={stage.function.name: stage.server.address},
        credentials=stage.server.channel_credentials,
    ) as stages:
        try:
            stages.check(partitioned)
        except InvarianceError as error:
            raise Violation(str(error)) from None


async def _compare(stage: TransformUnderTest, difference: Difference) -> None:
    left = len(stage.sample) - sum(_SIZES)
    partition = (*_SIZES, left) if left > 0 else _SIZES
    await _compare_batches(stage, stage.requests(partition), difference)


async def _compare_batches(
    stage: TransformUnderTest, sent: list[Request], difference: Difference
) -> None:
    replies = await stage.exchange_well([one.batch for one in sent])
    for one, reply in zip_longest(sent, replies):
        if one is None or reply is None:
            raise Violation(f"{len(sent)} batches got {len(replies)} replies")
        found = difference(one.expected, stage.content(reply))
        if found:
            at = f"batch {one.batch.number} of {one.batch.records} records: {found}"
            if one.batch.records > _SHOWN_RECORDS:
                raise Violation(at)
            message = stage.function.takes.FromString(one.batch.payload.value)
            raise Violation(f"{at}\nit was sent {shown(message)}")


CHECKS = (counts, rejections, payload, any_records, end_to_end)
