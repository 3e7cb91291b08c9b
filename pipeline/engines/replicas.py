"""Spread the batches of one transform stage over its replicas, and restore order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from pipeline.engines.legs import InFlightBatch
from pipeline.engines.window import Window, WindowLimits
from pipeline.errors import LostStageError


class Leg(Protocol):
    """The stream to one replica, as `RecoveringLeg` has it."""

    def start(self, tasks: asyncio.TaskGroup, /) -> None:
        """Use ``tasks`` for what has to run beside `receive`."""

    @property
    def is_down(self) -> bool:
        """Whether its server is being replaced."""

    @property
    def unanswered(self) -> int:
        """The number of batches that were taken and have no reply yet."""

    def take_unanswered(self) -> deque[InFlightBatch]:
        """Return the batches that have no reply yet, the oldest first; keep none."""

    async def send(self, batch: InFlightBatch, raw: bytes, /) -> None:
        """Send a batch; ``raw`` is its message, serialised."""

    async def close(self) -> None:
        """Half-close the stream: no batch follows."""

    async def receive(self) -> InFlightBatch | None:
        """Return the next batch that the replica has answered; None at the end.

        Raises:
            LostStageError: The replica is lost for good.
        """


class Replicas:
    """Spreads batches over the legs to the replicas of a stage, within its window.

    Args:
        legs: The legs.
        limits: The window.
        outlive_loss: Whether the others take over the batches of a replica that is lost
            for good; otherwise its loss fails the run.
    """

    def __init__(
        self, legs: Sequence[Leg], limits: WindowLimits, *, outlive_loss: bool = True
    ) -> None:
        self._outlive_loss = outlive_loss
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
        self._is_closing = False
        #: The pieces of a batch that are to be received next.
        self._pieces: deque[InFlightBatch] = deque()
        #: How many more batches were received than sent, because some came in pieces.
        self.added = 0

    async def send(self, batch: InFlightBatch) -> None:
        """Send a batch to the least busy replica, as soon as the window has room."""
        raw = batch.message.SerializeToString()
        await self._window.enter(len(raw))
        if not self._awaited:
            await self._legs[0].send(batch, raw)
            return
        turn: asyncio.Future[InFlightBatch] = asyncio.get_running_loop().create_future()
        self._turns.put_nowait(turn)
        await self._send_to_one(batch, raw, turn)

    async def close(self) -> None:
        """Half-close the stream to every replica, once all batches are answered.

        Until then, a replica that is lost for good may leave some to the others.
        """
        self._turns.put_nowait(None)
        self._is_closing = True
        await self._close_if_answered()

    async def receive(self) -> InFlightBatch | None:
        """Return the next batch in order; None at the end.

        The batches that replace one of several pieces are numbered anew, and so are
        those behind them.
        """
        if self._pieces:
            self.added += 1
            return self._numbered(self._pieces.popleft())
        if self._awaited:
            turn = await self._turns.get()
            batch = await turn if turn is not None else None
        else:
            batch = await self._legs[0].receive()
        if batch is None:
            return None
        self._window.leave()
        if batch.pieces:
            self._pieces.extend(batch.pieces)
            batch = self._pieces.popleft()
        return self._numbered(batch) if self.added else batch

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Start the tasks that must run while `receive` is called: one for each leg.

        There is none for a single leg. `receive` reads it directly, which saves a task
        switch for each batch.
        """
        for leg in self._legs:
            leg.start(tasks)
        for leg in self._awaited:
            tasks.create_task(self._read(leg))

    def _numbered(self, batch: InFlightBatch) -> InFlightBatch:
        batch.message.number += self.added
        return batch

    async def _send_to_one(
        self, batch: InFlightBatch, raw: bytes, turn: asyncio.Future[InFlightBatch]
    ) -> None:
        """Send a batch to the least busy replica, which will answer ``turn``."""
        leg = min(self._legs, key=lambda leg: (leg.is_down, leg.unanswered))
        self._legs.remove(leg)
        self._legs.append(leg)
        self._awaited[leg].append(turn)
        await leg.send(batch, raw)

    async def _read(self, leg: Leg) -> None:
        """Take the answers of a replica, to its end or until it is lost for good."""
        turns = self._awaited[leg]
        try:
            while (batch := await leg.receive()) is not None:
                turns.popleft().set_result(batch)
                if self._is_closing:
                    await self._close_if_answered()
        except LostStageError:
            self._legs.remove(leg)
            if not (self._legs and self._outlive_loss):
                raise
            for batch in leg.take_unanswered():
                raw = batch.message.SerializeToString()
                await self._send_to_one(batch, raw, turns.popleft())

    async def _close_if_answered(self) -> None:
        if not any(self._awaited.values()):
            self._is_closing = False
            for leg in self._legs:
                await leg.close()
