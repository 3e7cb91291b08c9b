"""Checks of replies: one for each batch, with the right envelope."""

from __future__ import annotations

from pipeline.transport import wire
from pipeline.v1.pipeline_pb2 import Batch
from pytest_pipeline.conformance.check import check
from pytest_pipeline.conformance.errors import Violation
from pytest_pipeline.conformance.transform_under_test import (
    Request,
    TransformUnderTest,
)
from pytest_pipeline.records.payloads import emptied

# Equal batches, and others that are smaller or larger.
_PARTITION = (7, 7, 1, 20, 3)


@check("reply.one-each")
async def one_each(stage: TransformUnderTest) -> None:
    """Each reply gives one credit back to the orchestrator, so a missing reply stalls
    the run and an extra reply fails it.
    """
    requests = stage.requests(_PARTITION)
    replies = await stage.exchange_well(_batches(requests))
    if len(replies) != len(requests):
        raise Violation(f"{len(requests)} batches got {len(replies)} replies")


@check("reply.in-order")
async def in_order(stage: TransformUnderTest) -> None:
    """Replies are matched with batches by their order, and a run writes its results in
    the order of its records.
    """
    requests = stage.requests(_PARTITION)
    numbers = [reply.number for reply in await stage.exchange_well(_batches(requests))]
    if numbers != sorted(numbers):
        raise Violation(f"batches 0 to {len(requests) - 1} were answered as {numbers}")


@check("reply.number")
async def number(stage: TransformUnderTest) -> None:
    """Replicas share the batches of a run, so a stage gets batch numbers with gaps and
    must copy each into its reply.
    """
    requests = stage.requests((5, 5, 5))
    sent = (3, 700, 2**40 + 1)
    batches = [one.renumbered(to) for one, to in zip(requests, sent, strict=True)]
    numbers = {reply.number for reply in await stage.exchange_well(batches)}
    if numbers != set(sent):
        raise Violation(f"batches {sent} were answered as {sorted(numbers)}")


@check("reply.prompt")
async def prompt(stage: TransformUnderTest) -> None:
    """A reply that waits for the next batch, or for the end of the stream, delays every
    record and stalls a run whose window is full.
    """
    async with stage.call() as call:
        for one in stage.requests((4, 4, 4)):
            await call.send(one.batch)
            await call.receive()


@check("reply.counts")
async def counts(stage: TransformUnderTest) -> None:
    """A run fails unless every record that came in is passed, filtered or rejected."""
    requests = stage.requests(_PARTITION)
    for one, reply in zip(
        requests, await stage.exchange_well(_batches(requests)), strict=False
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
async def type_(stage: TransformUnderTest) -> None:
    """The next stage accepts one type of payload and refuses all others."""
    wanted = stage.function.returns.DESCRIPTOR.full_name
    for reply in await stage.exchange_well(_batches(stage.requests(_PARTITION))):
        made = reply.payload.type_url.rpartition("/")[2]
        if made != wanted:
            raise Violation(
                f"batch {reply.number} was answered with {made or 'no payload'}, "
                f"not {wanted}"
            )
        stage.content(reply)


@check("reply.rejections-ascending")
async def rejections_ascending(stage: TransformUnderTest) -> None:
    """Rejected records are written in the order of the run without sorting, so each
    reply must list them in ascending order.
    """
    requests = stage.requests((len(stage.sample),))
    for reply in await stage.exchange_well(_batches(requests)):
        records = [rejection.record for rejection in reply.rejections]
        if records != sorted(set(records)):
            raise Violation(f"batch {reply.number} rejects records {records}")


@check("reply.empty-batch")
async def empty_batch(stage: TransformUnderTest) -> None:
    """Earlier stages may leave a batch without records, and it needs a reply like any
    other.
    """
    (request,) = stage.requests((3,))
    full = wire.unpack(request.batch.payload, stage.function.takes)
    empty = Batch(number=0, first_record=1)
    wire.pack(emptied(full), into=empty.payload)
    after = request.renumbered(1)
    replies = await stage.exchange_well([empty, after])
    if [reply.number for reply in replies] != [0, 1]:
        raise Violation(
            f"a batch without records and one with were answered by {len(replies)} "
            f"replies, {[reply.number for reply in replies]}"
        )


@check("reply.singles")
async def singles(stage: TransformUnderTest) -> None:
    """At batch size 1, a record that is filtered or rejected leaves an empty batch,
    which needs a reply like any other.
    """
    requests = stage.requests((1,) * len(stage.sample))
    replies = await stage.exchange_well(_batches(requests))
    missing = sorted(
        {one.batch.number for one in requests} - {reply.number for reply in replies}
    )
    if missing:
        raise Violation(f"of batches of one record, there is no answer to {missing}")


def _batches(requests: list[Request]) -> list[Batch]:
    return [one.batch for one in requests]


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
