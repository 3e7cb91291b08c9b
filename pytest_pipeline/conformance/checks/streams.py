"""Checks of streams: how they end, run side by side, and keep no state."""

from __future__ import annotations

import asyncio
from itertools import zip_longest

import grpc

from pipeline.v1.pipeline_pb2 import Batch
from pytest_pipeline.conformance.check import check, keeps_no_state
from pytest_pipeline.conformance.checked_call import CheckedCall
from pytest_pipeline.conformance.difference import counts_difference, difference_of
from pytest_pipeline.conformance.errors import Violation
from pytest_pipeline.conformance.transform_under_test import TransformUnderTest

# More than the threads of a server, by the default of gRPC or of this project.
_CANCELLED = 80
_OVERDUE = 20
_DEADLINE_S = 0.5


@check("stream.empty")
async def empty(stage: TransformUnderTest) -> None:
    """A replica may get no batch at all, and its stream must still end with OK and
    without replies.
    """
    replies = await stage.exchange_well([])
    if replies:
        raise Violation(f"a stream without batches got {len(replies)} replies")


@check("stream.ragged")
async def ragged(stage: TransformUnderTest) -> None:
    """The last batch of a run is seldom full, and must be answered like the others."""
    requests = stage.requests((7, 7, 3))
    last = requests[-1]
    replies = await stage.exchange_well([one.batch for one in requests])
    if not replies or replies[-1].number != last.batch.number:
        raise Violation(f"the last batch, of {last.batch.records} records, is lost")
    difference = counts_difference(last.expected, stage.content(replies[-1]))
    if difference:
        raise Violation(
            f"of the last batch, of {last.batch.records} records: {difference}"
        )


@check("stream.half-close")
async def half_close(stage: TransformUnderTest) -> None:
    """A run ends by half-closing each leg and reading it to its end, so a stage must
    answer what is left and end with OK.
    """
    requests = stage.requests((4, 4, 4))
    async with stage.call() as call:
        await call.send(requests[0].batch)
        await call.receive()
        for one in requests[1:]:
            await call.send(one.batch)
        await call.half_close()
        ended = await call.rest()
    if ended.code is not grpc.StatusCode.OK or len(ended.replies) < len(requests):
        raise Violation(
            f"half-closed after {len(requests)} batches, it answered "
            f"{len(ended.replies)} and ended with {ended.status}"
        )


@check("stream.cancel")
async def cancel(stage: TransformUnderTest) -> None:
    """Runs are interrupted, and the streams that they abandon must not exhaust the
    server.
    """
    batch = stage.requests((3,))[0].batch
    async with stage.call() as call:
        await call.send(batch)
        await call.receive()
    async with stage.server.aio_channel() as channel:
        for _ in range(_CANCELLED):
            call = stage.open(channel)
            await call.send(batch)
            await call.give_up()
    await _check_serving_after(stage, f"{_CANCELLED} streams were cancelled")


@check("stream.deadline")
async def deadline(stage: TransformUnderTest) -> None:
    """A call with a deadline must end at its deadline, and the server must go on
    serving.
    """
    batch = stage.requests((3,))[0].batch

    async def overdue() -> None:
        async with stage.call(deadline_s=_DEADLINE_S) as call:
            await call.send(batch)
            ended = await call.rest()
        if ended.code is not grpc.StatusCode.DEADLINE_EXCEEDED:
            raise Violation(
                f"a stream that is left open beyond its deadline of {_DEADLINE_S} s "
                f"ended with {ended.status}"
            )

    await asyncio.gather(*(overdue() for _ in range(_OVERDUE)))
    await _check_serving_after(stage, f"{_OVERDUE} streams ran into their deadlines")


@check("stream.two-at-once")
async def two_at_once(stage: TransformUnderTest) -> None:
    """Two runs may share a server at once, and each must get its own replies."""
    requests = stage.requests((2, 5, 3, 4))
    async with stage.call() as one, stage.call() as other:
        calls: list[tuple[CheckedCall[Batch], int]] = [(one, 0), (other, 2)]
        for turn in range(2):
            for call, first in calls:
                await call.send(requests[first + turn].batch)
            for call, first in calls:
                sent = requests[first + turn].batch.number
                try:
                    reply = await call.receive()
                except Violation as violation:
                    raise Violation(f"of two open streams: {violation}") from None
                if reply.number != sent:
                    raise Violation(
                        f"of two open streams, that of batch {sent} got the reply to "
                        f"batch {reply.number}"
                    )
        for call, _ in calls:
            await call.half_close()
            await call.rest()


@check("state.between-streams", keeps_no_state)
async def between_streams(stage: TransformUnderTest) -> None:
    """Runs share a stage, which may restart at any time, so nothing may carry over from
    one stream to the next.
    """
    batches = [one.batch for one in stage.requests((6, 2, 9))]
    first = await stage.exchange_well(batches)
    again = await stage.exchange_well(batches)
    for one, other in zip_longest(first, again):
        if one is None or other is None:
            raise Violation("the same stream, sent again, gets more or fewer replies")
        difference = difference_of(stage.content(one), stage.content(other))
        if difference:
            raise Violation(
                f"batch {one.number}, sent again in another stream: {difference}"
            )


@check("state.replay", keeps_no_state)
async def replay(stage: TransformUnderTest) -> None:
    """A batch may be replayed or sent to another replica, and must not count twice."""
    one, other = (request.batch for request in stage.requests((6, 4)))
    replies = await stage.exchange_well([one, other, one])
    if len(replies) != 3:
        raise Violation(f"a batch sent twice, and one between: {len(replies)} replies")
    difference = difference_of(stage.content(replies[0]), stage.content(replies[2]))
    if difference:
        raise Violation(f"batch {one.number}, sent again: {difference}")


async def _check_serving_after(stage: TransformUnderTest, what: str) -> None:
    try:
        await stage.check_serving()
    except Violation as violation:
        raise Violation(f"after {what}: {violation}") from None


CHECKS = (
    empty,
    ragged,
    half_close,
    cancel,
    deadline,
    two_at_once,
    between_streams,
    replay,
)
