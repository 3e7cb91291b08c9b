"""Each batch gets one reply: the envelope."""

from __future__ import annotations

from pipeline.transport import wire
from pipeline.v1.pipeline_pb2 import Batch
from pytest_pipeline.conformance.check import check
from pytest_pipeline.conformance.leg import Violation
from pytest_pipeline.conformance.peer import Given, Peer
from pytest_pipeline.records.streams import emptied

#: Whole batches and ragged ones.
_CUTTING = (7, 7, 1, 20, 3)


@check("reply.one-each")
async def one_each(peer: Peer) -> None:
    """The orchestrator gives credit back with each reply, so one too few stops a run,
    and one too many fails it.
    """
    given = peer.given(_CUTTING)
    replies = await peer.exchange_well(_batches(given))
    if len(replies) != len(given):
        raise Violation(f"{len(given)} batches got {len(replies)} replies")


@check("reply.in-order")
async def in_order(peer: Peer) -> None:
    """Replies are matched with batches by their order, and the result of a run is in
    the order of its records.
    """
    given = peer.given(_CUTTING)
    numbers = [reply.number for reply in await peer.exchange_well(_batches(given))]
    if numbers != sorted(numbers):
        raise Violation(f"batches 0 to {len(given) - 1} were answered as {numbers}")


@check("reply.number")
async def number(peer: Peer) -> None:
    """Replicas share the batches of a run, so a stage gets numbers with gaps, and
    repeats them.
    """
    given = peer.given((5, 5, 5))
    sent = (3, 700, 2**40 + 1)
    batches = [one.renumbered(to) for one, to in zip(given, sent, strict=True)]
    numbers = {reply.number for reply in await peer.exchange_well(batches)}
    if numbers != set(sent):
        raise Violation(f"batches {sent} were answered as {sorted(numbers)}")


@check("reply.prompt")
async def prompt(peer: Peer) -> None:
    """A reply that waits for the next batch, or for the end, adds its wait to every
    record, and stops a run whose window is full.
    """
    async with peer.leg() as leg:
        for one in peer.given((4, 4, 4)):
            await leg.send(one.batch)
            await leg.receive()


@check("reply.counts")
async def counts(peer: Peer) -> None:
    """A run in which records are not accounted for fails: passed, filtered and
    rejected are all that came.
    """
    given = peer.given(_CUTTING)
    for one, reply in zip(
        given, await peer.exchange_well(_batches(given)), strict=False
    ):
        came = one.batch.records
        said = reply.records + reply.filtered + len(reply.rejections)
        if said != came:
            raise Violation(
                f"batch {one.batch.number} of {came} records was answered with "
                f"{reply.records} records, {reply.filtered} filtered and "
                f"{len(reply.rejections)} rejected"
            )


@check("reply.type")
async def type_(peer: Peer) -> None:
    """The next stage takes one type of payload, and refuses all others."""
    wanted = peer.stage.returns.DESCRIPTOR.full_name
    for reply in await peer.exchange_well(_batches(peer.given(_CUTTING))):
        made = reply.payload.type_url.rpartition("/")[2]
        if made != wanted:
            raise Violation(
                f"batch {reply.number} was answered with {made or 'no payload'}, "
                f"not {wanted}"
            )
        peer.content(reply)


@check("reply.rejections-ascending")
async def rejections_ascending(peer: Peer) -> None:
    """The rejects of a run are written in the order of its records, without sorting."""
    given = peer.given((len(peer.sample),))
    for reply in await peer.exchange_well(_batches(given)):
        records = [rejection.record for rejection in reply.rejections]
        if records != sorted(set(records)):
            raise Violation(f"batch {reply.number} rejects records {records}")


@check("reply.empty-batch")
async def empty_batch(peer: Peer) -> None:
    """A batch of which an earlier stage has left nothing is answered as any other."""
    (given,) = peer.given((3,))
    full = wire.unpack(given.batch.payload, peer.stage.takes)
    empty = Batch(number=0, first_record=1)
    wire.pack(emptied(full), into=empty.payload)
    after = given.renumbered(1)
    replies = await peer.exchange_well([empty, after])
    if [reply.number for reply in replies] != [0, 1]:
        raise Violation(
            f"a batch without records and one with were answered by {len(replies)} "
            f"replies, {[reply.number for reply in replies]}"
        )


@check("reply.singles")
async def singles(peer: Peer) -> None:
    """At batch size 1 a record that is filtered or rejected leaves a batch of nothing,
    which is answered all the same.
    """
    given = peer.given((1,) * len(peer.sample))
    replies = await peer.exchange_well(_batches(given))
    missing = sorted(
        {one.batch.number for one in given} - {reply.number for reply in replies}
    )
    if missing:
        raise Violation(f"of batches of one record, there is no answer to {missing}")


def _batches(given: list[Given]) -> list[Batch]:
    return [one.batch for one in given]


CHECKS = (
    one_each,
    in_order,
    number,
    prompt,
    counts,
    type_,
    rejections_ascending,
    empty_batch,
    singles,
)
