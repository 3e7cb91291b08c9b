"""What is acknowledged when, and how much is in flight."""

from __future__ import annotations

from pipeline.v1.pipeline_pb2 import Batch
from pytest_pipeline.conformance.check import check
from pytest_pipeline.conformance.leg import Leg, Violation
from pytest_pipeline.conformance.peer import Peer

# Long enough for a reply that nobody has asked for to arrive.
_QUIET_S = 0.05
# A stage that has taken in nothing for so long has stopped.
_STALL_S = 1.0
_MESSAGE_BYTES = 16 * 1024
_OFFERED_BYTES = 64 * 1024 * 1024
_TAKEN_BYTES = 32 * 1024 * 1024
# The smallest window of the client: its replies wait in the stage.
_NARROW = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 16 * 1024))


@check("flow.no-early-reply")
async def no_early_reply(peer: Peer) -> None:
    """A reply says that the records are safe, so a batch that is refused in the end
    must not have got one before.
    """
    (given,) = peer.given((5,))
    broken = given.renumbered(1)
    broken.payload.value = b"\x0a\x0a\x01"
    async with peer.leg() as leg:
        await leg.send(given.batch)
        await leg.receive()
        if not await leg.nothing_comes(_QUIET_S):
            raise Violation("more comes after one batch and its reply, unasked")
        await leg.send(broken)
        ending = await leg.rest()
    if len(ending.replies) != 1:
        raise Violation(
            f"a batch that can't be decoded got a reply, and then the stream ended "
            f"with {ending.how}"
        )


@check("flow.slow-reader")
async def slow_reader(peer: Peer) -> None:
    """A stage whose replies are not read must stop reading, or its memory grows with
    the run; and go on as soon as they are.
    """
    batch = _large(peer)
    size = batch.ByteSize()
    sent = 0
    async with peer.leg(options=_NARROW) as leg:
        while sent * size < _OFFERED_BYTES:
            batch.number = sent
            sent += 1
            if not await leg.try_send(batch, _STALL_S):
                break
        taken = sent * size
        if taken > _TAKEN_BYTES:
            raise Violation(
                f"took in {taken / 2**20:.0f} MiB while none of its replies was read"
            )
        await _check_all_come(leg, sent)


async def _check_all_come(leg: Leg, sent: int) -> None:
    for number in range(sent):
        reply = await leg.receive()
        if reply.number != number:
            raise Violation(
                f"once its replies were read, batch {number} was answered as "
                f"{reply.number}"
            )
    await leg.half_close()
    ending = await leg.rest()
    if len(ending.replies) != sent:
        raise Violation(f"{sent} batches got {len(ending.replies)} replies")


def _large(peer: Peer) -> Batch:
    """Return a batch of some size, of records over and over."""
    records = len(peer.sample)
    while True:
        batch = peer.given((records,))[0].batch
        if batch.ByteSize() >= _MESSAGE_BYTES or records > _MESSAGE_BYTES:
            return batch
        records *= 2


CHECKS = (no_early_reply, slow_reader)
