"""The last messages of a server, for the report of a failed test."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Literal

import grpc
from google.protobuf.message import Message

from pipeline.errors import one_line
from pipeline.v1.pipeline_pb2 import Batch

_KEPT = 10
_SHOWN_CHARACTERS = 100


class Trace:
    """The last ten messages to and from a server, one line each."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()

    def __str__(self) -> str:
        with self._lock:
            return "\n".join(self._lines)

    def note(self, direction: Literal["to", "from"], what: str) -> None:
        """Add a message."""
        with self._lock:
            self._lines.append(f"{'→' if direction == 'to' else '←'} {what}")

    def clear(self) -> None:
        """Remove all messages."""
        with self._lock:
            self._lines.clear()

    def batch(
        self, _: str, direction: Literal["to", "from"], batch: Batch, size: int
    ) -> None:
        """Add a batch of a leg; called by `SplitEngine`."""
        self.note(direction, f"{_batch(batch)}, {size:,} bytes")


class OpenCalls:
    """Counts the open calls of a channel."""

    def __init__(self) -> None:
        self._count = 0
        self._then: Callable[[], None] | None = None
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)

    def begin(self) -> None:
        """Count a call that begins."""
        with self._lock:
            self._count += 1

    def end(self, _: object = None) -> None:
        """Count a call that has ended."""
        with self._lock:
            self._count -= 1
            then = self._then if self._count == 0 else None
            if self._count == 0:
                self._idle.notify_all()
        if then is not None:
            # In another thread: closing a channel waits for the thread of the call.
            threading.Thread(target=then, name="when_idle").start()

    def when_idle(self, then: Callable[[], None]) -> None:
        """Call ``then`` when no call is open; at once if none is open now."""
        with self._lock:
            self._then = then
            idle = self._count == 0
        if idle:
            then()

    def wait_idle(self, timeout_s: float) -> None:
        """Wait until no call is open, up to ``timeout_s``."""
        with self._idle:
            self._idle.wait_for(lambda: self._count == 0, timeout_s)


class TraceInterceptor(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Traces the messages of every call of a channel, and counts open calls."""

    def __init__(self, trace: Trace, calls: OpenCalls) -> None:
        self._trace = trace
        self._calls = calls

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        """Trace the request and the reply."""
        self._sent(request)
        call = self._opened(continuation, client_call_details, request)
        call.add_done_callback(self._replied)
        return call

    def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        """Trace the request, and each reply as it is read."""
        self._sent(request)
        return _TracedReplies(
            self._opened(continuation, client_call_details, request), self._received
        )

    def intercept_stream_unary(
        self,
        continuation: Callable[..., Any],
        client_call_details: Any,
        request_iterator: Iterator[Any],
    ) -> Any:
        """Trace each request as it is sent, and the reply."""
        requests = self._each_sent(request_iterator)
        call = self._opened(continuation, client_call_details, requests)
        call.add_done_callback(self._replied)
        return call

    def intercept_stream_stream(
        self,
        continuation: Callable[..., Any],
        client_call_details: Any,
        request_iterator: Iterator[Any],
    ) -> Any:
        """Trace each request as it is sent, and each reply as it is read."""
        requests = self._each_sent(request_iterator)
        return _TracedReplies(
            self._opened(continuation, client_call_details, requests), self._received
        )

    def _opened(
        self, continuation: Callable[..., Any], details: Any, request: Any
    ) -> Any:
        self._calls.begin()
        try:
            call = continuation(details, request)
        except BaseException:
            self._calls.end()
            raise
        call.add_done_callback(self._calls.end)
        return call

    def _each_sent(self, requests: Iterator[Any]) -> Iterator[Any]:
        for request in requests:
            self._sent(request)
            yield request

    def _sent(self, message: Any) -> None:
        self._trace.note("to", summary(message))

    def _received(self, message: Any) -> None:
        self._trace.note("from", summary(message))

    def _replied(self, call: Any) -> None:
        if call.code() is grpc.StatusCode.OK:
            self._received(call.result())
        else:
            self._trace.note("from", f"{call.code().name}: {call.details()}")


class _TracedReplies:
    """A call whose replies are passed to ``note`` as they are read."""

    def __init__(self, call: Any, note: Callable[[Any], None]) -> None:
        self._call = call
        self._note = note

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        message = next(self._call)
        self._note(message)
        return message

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)


def summary(message: Any) -> str:
    """Return a message in one line."""
    if isinstance(message, Batch):
        return f"{_batch(message)}, {message.ByteSize():,} bytes"
    if isinstance(message, Message):
        size = message.ByteSize()
        text = "" if size > 10_000 else " ".join(str(message).split())
        shown = text[:_SHOWN_CHARACTERS] + "…" * (len(text) > _SHOWN_CHARACTERS)
        return f"{type(message).__name__}, {size:,} bytes{': ' * bool(shown)}{shown}"
    return one_line(ValueError(repr(message)))[:_SHOWN_CHARACTERS]


def _batch(batch: Batch) -> str:
    parts = [f"batch {batch.number}: {batch.records:,} records"]
    if batch.filtered:
        parts.append(f"{batch.filtered:,} filtered")
    if batch.rejections:
        parts.append(f"{len(batch.rejections):,} rejected")
    return ", ".join(parts)
