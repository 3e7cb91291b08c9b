"""The replicas of one transform stage: any may take a batch, and order is restored."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Protocol

from pipeline.engines.legs import InFlightBatch
from pipeline.engines.window import Window, WindowLimits


class Leg(Protocol):
    """The stream to one replica; see `TransformLeg`."""

    @property
    def unanswered(self) -> int:
        """Batches that were sent and not answered yet."""

    async def send(self, batch: InFlightBatch, raw: bytes, /) -> None:
        """Send a batch, whose bytes are ``raw``."""

    async def close(self) -> None:
        """Say that no batch follows."""

    async def receive(self) -> InFlightBatch | None:
        """Return the next batch that the replica has answered; None at the end."""


class Replicas:
    """Spreads batches over the legs to the replicas of a stage, within its window."""

    def __init__(self, legs: Sequence[Leg], limits: WindowLimits) -> None:
        #: The legs, the one that was used last at the end.
        self._legs = list(legs)
        self._window = Window(limits, len(legs))
        #: For each batch in flight, in order: its answer, when it comes.
        self._turns: asyncio.Queue[asyncio.Future[InFlightBatch] | None] = (
            asyncio.Queue()
        )
        #: The same by leg, where there is more than one.
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
        """Say to every replica that no batch follows."""
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
        """Return what has to run beside `receive`: the reading of each of many legs.

        A single leg is read where its batches are wanted, which saves each batch a
        change of tasks.
        """
        return [self._read(leg) for leg in self._awaited]

    async def _read(self, leg: Leg) -> None:
        while (batch := await leg.receive()) is not None:
            self._awaited[leg].popleft().set_result(batch)
