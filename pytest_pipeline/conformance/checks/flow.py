"""Checks of flow control: when a reply may come, and how much a stage may buffer."""

from __future__ import annotations

from pipeline.v1.pipeline_pb2 import Batch
from pytest_pipeline.conformance.check import check
from pytest_pipeline.conformance.checked_call import CheckedCall
from pytest_pipeline.conformance.errors import Violation
from pytest_pipeline.conformance.stage_under_test import NARROW
from pytest_pipeline.conformance.transform_under_test import TransformUnderTest
from pytest_pipeline.conformance.unusual import UNDECODABLE

# Long enough for an unsolicited reply to arrive.
_QUIET_S = 0.05
# A stage that has read nothing for this long has stopped reading.
_STALL_S = 1.0
_MESSAGE_BYTES = 16 * 1024
_OFFERED_BYTES = 64 * 1024 * 1024
_TAKEN_BYTES = 32 * 1024 * 1024


@check("flow.no-early-reply")
async def no_early_reply(stage: TransformUnderTest) -> None:
    """A reply means that the records of its batch are safe, so a batch must not get one
    and then be refused.
    """
    (request,) = stage.requests((5,))
    broken = request.renumbered(1)
    broken.payload.value = UNDECODABLE
    async with stage.call() as call:
        await call.send(request.batch)
        await call.receive()
        if not await call.nothing_comes(_QUIET_S):
            raise Violation("more comes after one batch and its reply, unasked")
        await call.send(broken)
        ended = await call.rest()
    if len(ended.replies) != 1:
        raise Violation(
            f"a batch that can't be decoded got a reply, and then the stream ended "
            f"with {ended.status}"
        )


@check("flow.slow-reader")
async def slow_reader(stage: TransformUnderTest) -> None:
    """A stage must stop reading while its replies are not read, or its memory grows
    with the run, and must go on once they are.
    """
    batch = _large(stage)
    size = batch.ByteSize()
    sent = 0
    async with stage.call(options=NARROW) as call:
        while sent * size < _OFFERED_BYTES:
            batch.number = sent
            sent += 1
            if not await call.try_send(batch, _STALL_S):
                break
        taken = sent * size
        if taken > _TAKEN_BYTES:
            raise Violation(
                f"took in {taken / 2**20:.0f} MiB while none of its replies was read"
            )
        await _check_all_come(call, sent)


async def _check_all_come(call: CheckedCall[Batch], sent: int) -> None:
    for number in range(sent):
        reply = await call.receive()
        if reply.number != number:
            raise Violation(
                f"once its replies were read, batch {number} was answered as "
                f"{reply.number}"
            )
    await call.half_close()
    ended = await call.rest()
    if len(ended.replies) != sent:
        raise Violation(f"{sent} batches got {len(ended.replies)} replies")


def _large(stage: TransformUnderTest) -> Batch:
    """Return a batch of at least 16 KiB, of the sample records repeated."""
    records = len(stage.sample)
    while True:
        batch = stage.requests((records,))[0].batch
        if batch.ByteSize() >= _MESSAGE_BYTES or records > _MESSAGE_BYTES:
            return batch
        records *= 2


CHECKS = (no_early_reply, slow_reader)
