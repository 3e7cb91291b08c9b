"""A call of a transport that is no gRPC."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pipeline.transport.client import CallStatus, StatusCode


class FakeCall:
    """A call whose messages are as a test says, and which drops what it is sent."""

    def __init__(self, reply: Callable[[], Awaitable[bytes | None]]) -> None:
        self._reply = reply

    async def send(self, message: bytes) -> None:
        """Drop the message."""

    async def half_close(self) -> None:
        """Do nothing."""

    async def receive(self) -> bytes | None:
        """Return the message that the test gives."""
        return await self._reply()

    async def status(self) -> CallStatus:
        """Return OK."""
        return CallStatus(StatusCode.OK, "", ())

    def cancel(self) -> None:
        """Do nothing."""

    def cancelled(self) -> bool:
        """Return False."""
        return False
