"""Bound what is in flight at one stage, in batches and in bytes."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

# Enough to keep a stage busy with batches of the size that suits gRPC best, 64 to
# 512 KiB. Few enough that all legs together stay far below 150 MiB.
DEFAULT_WINDOW_BATCHES = 64
DEFAULT_WINDOW_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class WindowLimits:
    """The most that may be in flight at a stage, all its replicas together.

    Two exceptions keep every replica busy: a batch larger than ``bytes`` goes alone,
    and as many batches as there are replicas may always be in flight.
    """

    batches: int = DEFAULT_WINDOW_BATCHES
    bytes: int = DEFAULT_WINDOW_BYTES


class Window:
    """Counts the batches that were sent to a stage and not passed on yet.

    A batch that a replica has answered stays counted until the batches before it are
    answered, so that behind one slow replica the answers of the others can't pile up.
    """

    def __init__(self, limits: WindowLimits, replicas: int = 1) -> None:
        self._limits = limits
        self._replicas = replicas
        self._sizes: deque[int] = deque()
        self._bytes = 0
        self._room: asyncio.Future[None] | None = None

    async def enter(self, size: int) -> None:
        """Wait until a batch of ``size`` bytes may be sent, and count it as sent.

        Only one task may wait at a time.
        """
        while not self._has_room(size):
            self._room = asyncio.get_running_loop().create_future()
            await self._room
        self._sizes.append(size)
        self._bytes += size

    def leave(self) -> None:
        """Count the oldest batch as passed on."""
        self._bytes -= self._sizes.popleft()
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def _has_room(self, size: int) -> bool:
        if len(self._sizes) < self._replicas:
            return True
        return (
            len(self._sizes) < self._limits.batches
            and self._bytes + size <= self._limits.bytes
        )
