"""The bound on what is in flight on one leg."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

# Enough to keep a stage busy, in batches of the size that suits gRPC best (64 to
# 512 KiB); few enough that all legs together stay far below 150 MiB.
DEFAULT_WINDOW_BATCHES = 64
DEFAULT_WINDOW_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class WindowLimits:
    """The most that may be in flight on a leg.

    A batch larger than ``bytes`` goes alone.
    """

    batches: int = DEFAULT_WINDOW_BATCHES
    bytes: int = DEFAULT_WINDOW_BYTES


class Window:
    """Credits of one leg, in batches and in bytes: sent, and not answered yet."""

    def __init__(self, limits: WindowLimits) -> None:
        self._limits = limits
        self._sizes: deque[int] = deque()
        self._bytes = 0
        self._room: asyncio.Future[None] | None = None

    async def enter(self, size: int) -> None:
        """Wait until a batch of ``size`` bytes may be sent, and count it as sent.

        For one sender: a second one must not wait at the same time.
        """
        while not self._has_room(size):
            self._room = asyncio.get_running_loop().create_future()
            await self._room
        self._sizes.append(size)
        self._bytes += size

    def leave(self) -> None:
        """Count the oldest batch as answered."""
        self._bytes -= self._sizes.popleft()
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def _has_room(self, size: int) -> bool:
        if not self._sizes:
            return True
        return (
            len(self._sizes) < self._limits.batches
            and self._bytes + size <= self._limits.bytes
        )
