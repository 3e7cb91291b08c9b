"""Channels and calls of grpcio, which no other module of the engines knows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import grpc
from grpc import ChannelCredentials

from pipeline.transport import wire
from pipeline.transport.client import CallEnded, CallStatus
from pipeline.transport.workarounds import StatusWatch

__all__ = ["ChannelCredentials", "GrpcCall", "GrpcChannel"]

T = TypeVar("T")

# What an operation of a call that has ended raises.
_CALL_ENDED = (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError)


class GrpcChannel:
    """A channel to the server at ``address``.

    Args:
        address: ``HOST:PORT``, or ``unix:`` and a path.
        credentials: Use TLS with these; without them the channel is not encrypted.
    """

    def __init__(
        self, address: str, credentials: ChannelCredentials | None = None
    ) -> None:
        options = wire.channel_options(address)
        self._channel = (
            grpc.aio.secure_channel(address, credentials, options)
            if credentials
            else grpc.aio.insecure_channel(address, options)
        )

    def call(self, method: str) -> GrpcCall:
        """Begin a call to ``method``."""
        begin: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = (
            self._channel.stream_stream(method)
        )
        return GrpcCall(begin())

    async def close(self) -> None:
        """Close the connection, and cancel its calls."""
        await self._channel.close()


class GrpcCall:
    """A call of grpc.aio that sends and receives bytes."""

    def __init__(self, call: grpc.aio.StreamStreamCall[bytes, bytes]) -> None:
        self._call = call
        self._messages = aiter(call)
        self._status = StatusWatch(call)

    async def send(self, message: bytes) -> None:
        """Send a message."""
        await self._result_of(self._call.write(message))

    async def half_close(self) -> None:
        """Send nothing more."""
        await self._result_of(self._call.done_writing())

    async def receive(self) -> bytes | None:
        """Return the next message; None where the server has ended the call with OK."""
        return await self._result_of(anext(self._messages, None))

    async def status(self) -> CallStatus:
        """Return the status that the server has sent, once it is there."""
        return await self._status.wait()

    def cancel(self) -> None:
        """End the call; do nothing if it has ended."""
        self._call.cancel()

    def cancelled(self) -> bool:
        """Return whether the call was ended from this side."""
        return self._call.cancelled()

    async def _result_of(self, operation: Awaitable[T]) -> T:
        try:
            return await operation
        except _CALL_ENDED:
            raise CallEnded from None
        except asyncio.CancelledError:
            # gRPC raises it for a call that was cancelled, too.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise CallEnded from None
