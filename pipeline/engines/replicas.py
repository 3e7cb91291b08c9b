"""Spread the batches of one transform stage over its replicas, and restore order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Protocol

from pipeline.engines.legs import InFlightBatch
from pipeline.engines.window import Window, WindowLimits


class Leg(Protocol):
    """The stream to one replica, as `TransformLeg` has it."""

    @property
    def unanswered(self) -> int:
        """The number of batches that were sent and have no reply yet."""

    async def send(self, batch: InFlightBatch, raw: bytes, /) -> None:
        """Send a batch; ``raw`` is its message, serialised."""

    async def close(self) -> None:
        """Half-close the stream: no batch follows."""

    async def receive(self) -> InFlightBatch | None:
        """Return the next batch that the replica has answered; None at the end."""


class Replicas:
    """Spreads batches over the legs to the replicas of a stage, within its window."""

    def __init__(self, legs: Sequence[Leg], limits: WindowLimits) -> None:
        #: The legs, the most recently used one last.
        self._legs = list(legs)
        self._window = Window(limits, len(legs))
        #: The future answer of each batch in flight, in order; None ends them.
        self._turns: asyncio.Queue[asyncio.Future[InFlightBatch] | None] = (
            asyncio.Queue()
        )
        #: The same futures by leg; empty if there is only one leg.
        self._awaited: dict[Leg, deque[asyncio.Future[InFlightBatch]]] = (
            {leg: deque() for leg in legs} if len(legs) > 1 else {}
        )

    async def send(self, batch: InFlightBatch) -> None:
        """Send a batch to the least busy replica, as soon as the window has room."""
        raw = batch.message.SerializeToString()
        await self._window.enter(len(raw))
        if not self._awaited:
            await self._legs[0].send(batch, raw)
            return
        leg = min(self._legs, key=lambda leg: leg.unanswered)
        self._legs.remove(leg)
        self._legs.append(leg)
        turn: asyncio.Future[InFlightBatch] = asyncio.get_running_loop().create_future()
        self._awaited[leg].append(turn)
        self._turns.put_nowait(turn)
        await leg.send(batch, raw)

    async def close(self) -> None:
        """Half-close the stream to every replica."""
        for leg in self._legs:
            await leg.close()
        self._turns.put_nowait(None)

    async def receive(self) -> InFlightBatch | None:
        """Return the next batch in order; None at the end."""
        if self._awaited:
            turn = await self._turns.get()
            batch = await turn if turn is not None else None
        else:
            batch = await self._legs[0].receive()
        if batch is not None:
            self._window.leave()
        return batch

    def reading(self) -> list[Coroutine[None, None, None]]:
        """Return coroutines that must run while `receive` is called: one for each leg.

        There is none for a single leg. `receive` reads it directly, which saves a task
        switch for each batch.
        """
        return [self._read(leg) for leg in self._awaited]

    async def _read(self, leg: Leg) -> None:
        while (batch := await leg.receive()) is not None:
            self._awaited[leg].popleft().set_result(batch)
