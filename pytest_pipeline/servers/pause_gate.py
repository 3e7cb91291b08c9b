"""A pause gate in a server of this process, which holds messages while it is closed."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import grpc

from pytest_pipeline.servers.handlers import (
    MethodHandler,
    kind_of,
    runs_in_event_loop,
    with_behaviour,
)


class PauseGate:
    """Lets all messages of a server pass, or holds them.

    A closed gate is to an in-process server what SIGSTOP is to a process: it does not
    answer its health service either.
    """

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()

    @property
    def is_closed(self) -> bool:
        """Whether messages are held back."""
        return not self._open.is_set()

    def close(self) -> None:
        """Hold messages back."""
        self._open.clear()

    def open(self) -> None:
        """Let messages pass, those that were held first."""
        self._open.set()

    def wait_open(self) -> None:
        """Wait until the gate is open."""
        self._open.wait()

    async def wait_open_async(self) -> None:
        """Wait until the gate is open, without blocking the event loop."""
        if self.is_closed:
            await asyncio.to_thread(self._open.wait)


class PauseInterceptor(grpc.ServerInterceptor):
    """Passes every message of a thread-based server through a pause gate."""

    def __init__(self, gate: PauseGate) -> None:
        self._gate = gate

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], MethodHandler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> MethodHandler | None:
        """Wrap the handler of a call."""
        handler = continuation(handler_call_details)
        return handler and _gated(handler, self._gate)


class AsyncPauseInterceptor(grpc.aio.ServerInterceptor):
    """Passes every message of a grpc.aio server through a pause gate."""

    def __init__(self, gate: PauseGate) -> None:
        self._gate = gate

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[MethodHandler | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> MethodHandler | None:
        """Wrap the handler of a call."""
        handler = await continuation(handler_call_details)
        return handler and _gated(handler, self._gate)


def _gated(handler: MethodHandler, gate: PauseGate) -> MethodHandler:
    """Return a handler that passes its messages through the gate."""
    behaviour = getattr(handler, kind_of(handler))
    gated = _gated_async if runs_in_event_loop(behaviour) else _gated_threads
    return with_behaviour(
        handler,
        gated(behaviour, gate, handler.request_streaming, handler.response_streaming),
    )


def _gated_threads(
    behaviour: Callable[..., Any], gate: PauseGate, streams_in: bool, streams_out: bool
) -> Callable[..., Any]:
    def each(messages: Iterator[Any]) -> Iterator[Any]:
        for message in messages:
            gate.wait_open()
            yield message

    def one(request: Any, context: Any) -> Any:
        __tracebackhide__ = True
        gate.wait_open()
        response = behaviour(each(request) if streams_in else request, context)
        gate.wait_open()
        # Anything but an iterator is left as it is, for gRPC to refuse.
        is_iterator = streams_out and hasattr(response, "__next__")
        return each(response) if is_iterator else response

    return one


def _gated_async(
    behaviour: Callable[..., Any], gate: PauseGate, streams_in: bool, streams_out: bool
) -> Callable[..., Any]:
    async def each(messages: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for message in messages:
            await gate.wait_open_async()
            yield message

    async def one(request: Any, context: Any) -> Any:
        await gate.wait_open_async()
        response = await behaviour(each(request) if streams_in else request, context)
        await gate.wait_open_async()
        return response

    async def many(request: Any, context: Any) -> AsyncIterator[Any]:
        await gate.wait_open_async()
        async for response in behaviour(
            each(request) if streams_in else request, context
        ):
            await gate.wait_open_async()
            yield response

    # A coroutine that streams writes to its context, and the gate does not see that.
    return many if streams_out and inspect.isasyncgenfunction(behaviour) else one
