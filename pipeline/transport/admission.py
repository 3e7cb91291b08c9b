"""What a server takes on at once: its threads, its limits and what it refuses."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import grpc

from pipeline.transport import wire

P = ParamSpec("P")
T = TypeVar("T")

# Each open stream occupies a thread.
MAX_STREAMS = 64

_MIB = 1024 * 1024
_WATCH_PERIOD_S = 0.25
# The attributes by which a handler tells gRPC how to run it.
_THREADS = "experimental_thread_pool"
_NON_BLOCKING = "experimental_non_blocking"


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """How much a server accepts."""

    #: Streams that are open at once, over all connections.
    streams: int = MAX_STREAMS
    #: Connections that are open at once. Further ones are closed.
    connections: int = 256
    #: Bytes of a message; 0 for any number.
    message_bytes: int = 64 * _MIB
    #: Seconds for which a client may neither send nor take anything; None for any.
    idle_s: float | None = None

    @property
    def options(self) -> tuple[tuple[str, Any], ...]:
        """The options of a gRPC server that keeps these limits."""
        return (
            # Of two values of an option, gRPC takes the first.
            ("grpc.max_receive_message_length", self.message_bytes or -1),
            *wire.OPTIONS,
            ("grpc.max_allowed_incoming_connections", self.connections),
            # Health checks and refused calls need no thread of the streams.
            ("grpc.max_concurrent_streams", 2 * self.streams),
            # Accept uncompressed messages only: 1 MB of gzip can stand for 1 GB. The
            # orchestrator does not compress.
            ("grpc.compression_enabled_algorithms_bitset", 1),
        )


class CallThreads(ThreadPoolExecutor):
    """Threads for calls, which know how many of them are taken."""

    def __init__(self, size: int, name: str) -> None:
        super().__init__(size, thread_name_prefix=name)
        self._size = size
        self._changed = threading.Condition()
        self._taken = 0

    @property
    def is_full(self) -> bool:
        """Whether the next call would have to wait for a thread."""
        return self._taken >= self._size

    def wait_idle(self, timeout_s: float) -> bool:
        """Return whether no thread is taken within ``timeout_s``."""
        with self._changed:
            return self._changed.wait_for(lambda: self._taken == 0, timeout_s)

    def submit(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """Run ``fn`` in a thread."""
        with self._changed:
            self._taken += 1
        future = super().submit(fn, *args, **kwargs)
        future.add_done_callback(self._give_back)
        return future

    def _give_back(self, _: Future[Any]) -> None:
        with self._changed:
            self._taken -= 1
            self._changed.notify_all()


def run_in(threads: CallThreads, behavior: Callable[P, T]) -> Callable[P, T]:
    """Return a handler's function that gRPC runs in these threads."""

    def function(*args: P.args, **kwargs: P.kwargs) -> T:
        return behavior(*args, **kwargs)

    setattr(function, _THREADS, threads)
    if hasattr(behavior, _NON_BLOCKING):
        setattr(function, _NON_BLOCKING, getattr(behavior, _NON_BLOCKING))
    return function


class Admission(grpc.ServerInterceptor):
    """Refuses calls while all threads of the streams are taken.

    gRPC's own limit, ``maximum_concurrent_rpcs``, would refuse health checks too.

    Args:
        streams: The threads of the streams.
        spare: Threads that refuse, since a status needs one too.
        is_exempt: Returns whether the method of that path has threads of its own.
    """

    def __init__(
        self,
        streams: CallThreads,
        spare: CallThreads,
        is_exempt: Callable[[str], bool],
    ) -> None:
        def refuse(_: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
            context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "the server is full; try again later, or start another one",
            )

        self._streams = streams
        self._is_exempt = is_exempt
        self._refused: grpc.RpcMethodHandler[Any, Any] = (
            grpc.stream_stream_rpc_method_handler(run_in(spare, refuse))
        )

    def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Return the handler of a call, or one that refuses it.

        gRPC asks one call after the other, and starts each before it asks the next, so
        no more calls are let in than there are threads.
        """
        handler = continuation(handler_call_details)
        if handler is None or self._is_exempt(handler_call_details.method):
            return handler
        return self._refused if self._streams.is_full else handler


class IdleWatch(grpc.ServerInterceptor):
    """Cancels calls whose client has neither sent nor taken anything for a while.

    It also ends calls that never send the one request that they consist of.

    Args:
        idle_s: Seconds that a client may take.
    """

    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s
        #: When each call began to wait for its client.
        self._waiting: dict[grpc.ServicerContext, float] = {}
        self._closed = threading.Event()
        threading.Thread(target=self._watch, name="idle watch", daemon=True).start()

    def close(self) -> None:
        """Stop watching."""
        self._closed.set()

    def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Return a handler that is watched."""
        handler = continuation(handler_call_details)
        if handler is None:
            return None
        behavior: Any = (
            handler.unary_unary
            or handler.unary_stream
            or handler.stream_unary
            or handler.stream_stream
        )
        if getattr(behavior, _NON_BLOCKING, False):
            return handler  # it holds no thread while it waits

        def watched(requests: Iterator[Any], context: grpc.ServicerContext) -> Any:
            arriving = self._requests(requests, context)
            if handler.request_streaming:
                answer = behavior(arriving, context)
            else:
                request = next(arriving, None)
                if request is None:
                    context.abort(grpc.StatusCode.INVALID_ARGUMENT, "takes one request")
                answer = behavior(request, context)
            return (
                self._replies(answer, context) if handler.response_streaming else answer
            )

        if hasattr(behavior, _THREADS):
            setattr(watched, _THREADS, getattr(behavior, _THREADS))
        # On the wire, one request is a stream of one. gRPC would wait for it before it
        # calls the handler.
        make = (
            grpc.stream_stream_rpc_method_handler
            if handler.response_streaming
            else grpc.stream_unary_rpc_method_handler
        )
        made: grpc.RpcMethodHandler[Any, Any] = make(
            watched, handler.request_deserializer, handler.response_serializer
        )
        return made

    def _requests(
        self, requests: Iterator[Any], context: grpc.ServicerContext
    ) -> Iterator[Any]:
        while True:
            self._waiting[context] = time.monotonic()
            try:
                request = next(requests, None)
            finally:
                self._waiting.pop(context, None)
            if request is None:
                return
            yield request

    def _replies(
        self, replies: Iterator[Any], context: grpc.ServicerContext
    ) -> Iterator[Any]:
        for reply in replies:
            self._waiting[context] = time.monotonic()
            try:
                yield reply
            finally:
                self._waiting.pop(context, None)

    def _watch(self) -> None:
        while not self._closed.wait(_WATCH_PERIOD_S):
            latest = time.monotonic() - self._idle_s
            for context, since in list(self._waiting.items()):
                if since < latest:
                    context.cancel()
