"""The stage against this project's own function, message by message."""

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
from pytest_pipeline.conformance.leg import Violation
from pytest_pipeline.conformance.peer import Given, Peer
from pytest_pipeline.invariance.case import Case, InvarianceError
from pytest_pipeline.invariance.engines import SplitStages
from pytest_pipeline.invariance.search import quiet_search
from pytest_pipeline.records.streams import Cutting, Stream, shown
from pytest_pipeline.strategies import cuttings, streams

Difference = Callable[[Output[Any], Output[Any]], str]

_EXAMPLES = 100
_SIZES = (1, 9, 30, 2)
# More say nothing to a reader; result.any-records finds the fewest.
_SHOWN_RECORDS = 3


@check("result.counts")
async def counts(peer: Peer) -> None:
    """Who is passed, filtered or rejected is part of the result."""
    await _compare(peer, counts_difference)


@check("result.rejections")
async def rejections(peer: Peer) -> None:
    """A record that must be rejected is, by its number in the run and with the right
    reason and field.
    """
    await _compare(peer, rejections_difference)


@check("result.payload")
async def payload(peer: Peer) -> None:
    """The payload is the same to the last bit, so that any stage can be exchanged for
    one in another language.
    """
    await _compare(peer, payload_difference)


@check("result.any-records")
def any_records(peer: Peer) -> None:
    """What holds for the sample holds for records of every kind that the workload
    knows, and for every cutting.
    """

    # The same ones each time: a verdict must not depend on the day.
    @quiet_search(_EXAMPLES, derandomize=True)
    @given(streams(peer.workload, peer.data), cuttings())
    def same(stream: Stream, cutting: Cutting) -> None:
        sent = peer.batches_of(stream, cutting)
        asyncio.run(_compare_batches(peer, sent, difference_of))

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
def end_to_end(peer: Peer) -> None:
    """A whole run with the stage in its place gives what one process gives, byte for
    byte.
    """
    case = Case(peer.workload, peer.sample, _SIZES)
    with SplitStages(
        peer.workload,
        addresses={peer.stage.name: peer.server.address},
        credentials=peer.server.channel_credentials,
    ) as stages:
        try:
            stages.check(case)
        except InvarianceError as error:
            raise Violation(str(error)) from None


async def _compare(peer: Peer, difference: Difference) -> None:
    left = len(peer.sample) - sum(_SIZES)
    cutting = (*_SIZES, left) if left > 0 else _SIZES
    await _compare_batches(peer, peer.given(cutting), difference)


async def _compare_batches(
    peer: Peer, sent: list[Given], difference: Difference
) -> None:
    replies = await peer.exchange_well([one.batch for one in sent])
    for one, reply in zip_longest(sent, replies):
        if one is None or reply is None:
            raise Violation(f"{len(sent)} batches got {len(replies)} replies")
        found = difference(one.expected, peer.content(reply))
        if found:
            at = f"batch {one.batch.number} of {one.batch.records} records: {found}"
            if one.batch.records > _SHOWN_RECORDS:
                raise Violation(at)
            message = peer.stage.takes.FromString(one.batch.payload.value)
            raise Violation(f"{at}\nit was sent {shown(message)}")


CHECKS = (counts, rejections, payload, any_records, end_to_end)
