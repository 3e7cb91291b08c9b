"""How streams begin and end, one after the other and side by side."""

from __future__ import annotations

import asyncio
from itertools import zip_longest

import grpc

from pytest_pipeline.conformance.check import check, keeps_no_state
from pytest_pipeline.conformance.difference import counts_difference, difference_of
from pytest_pipeline.conformance.leg import Leg, Violation
from pytest_pipeline.conformance.peer import Peer

# More than servers have threads, by default or by ours.
_CANCELLED = 80
_OVERDUE = 20
_DEADLINE_S = 0.5


@check("stream.empty")
async def empty(peer: Peer) -> None:
    """A replica that gets no batch at all is closed as the others are."""
    replies = await peer.exchange_well([])
    if replies:
        raise Violation(f"a stream without batches got {len(replies)} replies")


@check("stream.ragged")
async def ragged(peer: Peer) -> None:
    """The last batch of a run is seldom full, and counts like the others."""
    given = peer.given((7, 7, 3))
    last = given[-1]
    replies = await peer.exchange_well([one.batch for one in given])
    if not replies or replies[-1].number != last.batch.number:
        raise Violation(f"the last batch, of {last.batch.records} records, is lost")
    difference = counts_difference(last.expected, peer.content(replies[-1]))
    if difference:
        raise Violation(
            f"of the last batch, of {last.batch.records} records: {difference}"
        )


@check("stream.half-close")
async def half_close(peer: Peer) -> None:
    """A run ends by half-closing each leg and reading it to its end."""
    given = peer.given((4, 4, 4))
    async with peer.leg() as leg:
        await leg.send(given[0].batch)
        await leg.receive()
        for one in given[1:]:
            await leg.send(one.batch)
        await leg.half_close()
        ending = await leg.rest()
    if ending.code is not grpc.StatusCode.OK or len(ending.replies) < len(given):
        raise Violation(
            f"half-closed after {len(given)} batches, it answered "
            f"{len(ending.replies)} and ended with {ending.how}"
        )


@check("stream.cancel")
async def cancel(peer: Peer) -> None:
    """Runs are broken off, and what they leave open must not use a server up."""
    batch = peer.given((3,))[0].batch
    async with peer.leg() as leg:
        await leg.send(batch)
        await leg.receive()
    async with peer.server.aio_channel() as channel:
        for _ in range(_CANCELLED):
            leg = peer.open(channel)
            await leg.send(batch)
            await leg.give_up()
    await _check_serving_after(peer, f"{_CANCELLED} streams were cancelled")


@check("stream.deadline")
async def deadline(peer: Peer) -> None:
    """A call with a deadline ends by it, and leaves the server as it was."""
    batch = peer.given((3,))[0].batch

    async def overdue() -> None:
        async with peer.leg(deadline_s=_DEADLINE_S) as leg:
            await leg.send(batch)
            ending = await leg.rest()
        if ending.code is not grpc.StatusCode.DEADLINE_EXCEEDED:
            raise Violation(
                f"a stream that is left open beyond its deadline of {_DEADLINE_S} s "
                f"ended with {ending.how}"
            )

    await asyncio.gather(*(overdue() for _ in range(_OVERDUE)))
    await _check_serving_after(peer, f"{_OVERDUE} streams ran into their deadlines")


@check("stream.two-at-once")
async def two_at_once(peer: Peer) -> None:
    """Two runs may share a server, and neither gets the other's replies."""
    given = peer.given((2, 5, 3, 4))
    async with peer.leg() as one, peer.leg() as other:
        legs: list[tuple[Leg, int]] = [(one, 0), (other, 2)]
        for turn in range(2):
            for leg, first in legs:
                await leg.send(given[first + turn].batch)
            for leg, first in legs:
                sent = given[first + turn].batch.number
                try:
                    reply = await leg.receive()
                except Violation as violation:
                    raise Violation(f"of two open streams: {violation}") from None
                if reply.number != sent:
                    raise Violation(
                        f"of two open streams, that of batch {sent} got the reply to "
                        f"batch {reply.number}"
                    )
        for leg, _ in legs:
            await leg.half_close()
            await leg.rest()


@check("state.between-streams", keeps_no_state)
async def between_streams(peer: Peer) -> None:
    """A stage is shared by runs and restarted at will, so nothing may pass from one
    stream to the next.
    """
    batches = [one.batch for one in peer.given((6, 2, 9))]
    first = await peer.exchange_well(batches)
    again = await peer.exchange_well(batches)
    for one, other in zip_longest(first, again):
        if one is None or other is None:
            raise Violation("the same stream, sent again, gets more or fewer replies")
        difference = difference_of(peer.content(one), peer.content(other))
        if difference:
            raise Violation(
                f"batch {one.number}, sent again in another stream: {difference}"
            )


@check("state.replay", keeps_no_state)
async def replay(peer: Peer) -> None:
    """A batch that is replayed, or goes to another replica, must not count twice."""
    one, other = (given.batch for given in peer.given((6, 4)))
    replies = await peer.exchange_well([one, other, one])
    if len(replies) != 3:
        raise Violation(f"a batch sent twice, and one between: {len(replies)} replies")
    difference = difference_of(peer.content(replies[0]), peer.content(replies[2]))
    if difference:
        raise Violation(f"batch {one.number}, sent again: {difference}")


async def _check_serving_after(peer: Peer, what: str) -> None:
    try:
        await peer.check_serving()
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
