"""Notice a stage server that hangs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

_MOST_PERIOD_S = 1.0
_LOOKS_WITHIN_TIMEOUT = 10


class Watched(Protocol):
    """A leg that may wait for its server."""

    def awaited(self) -> object:
        """Return what the leg waits for, which differs from what it waited for before.

        Returns None if it waits for nothing: then the server has nothing to do, or what
        it has sent is not taken yet.
        """

    async def overdue(self, waited_s: float) -> None:
        """Act on a wait that has lasted ``waited_s`` seconds."""


class Watchdog:
    """Looks at all legs now and then, and tells one that it has waited too long.

    It counts its own looks and reads no clock. So time in which the orchestrator itself
    was stopped or busy does not count, and a message costs nothing more.

    Args:
        legs: The legs to watch.
        timeout_s: The longest wait, in seconds.
    """

    def __init__(self, legs: Sequence[Watched], timeout_s: float) -> None:
        self._waits = [_Wait(leg) for leg in legs]
        self._timeout_s = timeout_s
        self._period_s = min(_MOST_PERIOD_S, timeout_s / _LOOKS_WITHIN_TIMEOUT)

    async def look(self) -> None:
        """Count a period for each leg that still waits for the same."""
        for wait in self._waits:
            awaited = wait.leg.awaited()
            if awaited is None or awaited != wait.awaited:
                wait.awaited, wait.waited_s = awaited, 0.0
                continue
            wait.waited_s += self._period_s
            if wait.waited_s >= self._timeout_s:
                wait.waited_s = 0.0
                await wait.leg.overdue(self._timeout_s)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Look at the legs until the context is left.

        A look that fails ends what runs in the context: hangs would go unnoticed.
        """

        async def watch() -> None:
            while True:
                await asyncio.sleep(self._period_s)
                await self.look()

        try:
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(watch())
                yield
                task.cancel()
        except BaseExceptionGroup as group:
            # Either the failed look or what the context raised.
            raise group.exceptions[0] from None


class _Wait:
    """How long a leg has waited for the same."""

    def __init__(self, leg: Watched) -> None:
        self.leg = leg
        self.awaited: object = None
        self.waited_s = 0.0
