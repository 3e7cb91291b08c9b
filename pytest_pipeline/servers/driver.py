"""Drives a transform stage message by message: no socket, and time that stands still.

Importing this module needs grpcio-testing, which the ``test`` extra installs. That
runs the servicer in a thread of its own and waits for it blindly; here the servicer is
watched, so that what can't come any more is told at once instead of waited for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import grpc
import grpc_testing
from google.protobuf.message import Message

from pipeline.clock import Lap, LapTimer
from pipeline.errors import (
    ContractError,
    FunctionError,
    PipelineError,
    StageError,
    UsageError,
)
from pipeline.stages import Stage
from pipeline.transport.servicers import StageServicer
from pipeline.transport.wire import (
    SERVICES,
    TRACEBACK_KEY,
    PayloadError,
    pack,
    unpack,
)
from pipeline.v1.pipeline_pb2 import Batch

M = TypeVar("M", bound=Message)

Metadata = tuple[tuple[str, str | bytes], ...]

_NS = 1_000_000_000


class Servicer(Protocol):
    """Whatever serves `Stage.Process` of the contract."""

    def Process(  # noqa: N802 - named by the contract
        self, requests: Iterator[Batch], context: Any, /
    ) -> Iterable[Batch]:
        """Answer each batch with one batch of the same number."""


class FakeClock:
    """A clock that stands still until it is told to move on, exact to the nanosecond.

    It can be moved from any thread, so also from inside a stage function.
    """

    def __init__(self) -> None:
        self._fake = grpc_testing.strict_fake_time(0.0)
        self._lock = threading.Lock()
        self._ns = 0

    @property
    def now_ns(self) -> int:
        """Nanoseconds that the clock has moved since it was made."""
        return self._ns

    def advance(self, seconds: float) -> None:
        """Move on; return when every deadline that is reached thereby has passed."""
        moved = _nanoseconds("seconds", seconds)
        with self._lock:
            self._ns += moved
            now = self._ns
        self._fake.sleep_until(now / _NS)

    def stopwatch(self) -> LapTimer:
        """Start a stopwatch that goes by this clock; in CPU its laps are 0.

        What the clock is moved by is time that passed, not work that was done.
        """
        return _FakeStopwatch(self)

    def time(self) -> float:
        """Return `now_ns` in seconds."""
        return float(self._fake.time())

    def call_at(self, behavior: Callable[[], object], time: float) -> _Appointment:
        """Call ``behavior``, in a thread of its own, once the clock is at ``time``."""
        appointment = _Appointment(behavior)
        # Sums of seconds are a little off; deadlines have to be met to the nanosecond.
        self._fake.call_at(appointment, round(time * _NS) / _NS)
        return appointment


class _FakeStopwatch:
    """A stopwatch that goes by a fake clock."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._ns = clock.now_ns

    def lap(self) -> Lap:
        """Return the time since the last call, or since the start."""
        now = self._clock.now_ns
        lap = Lap(now - self._ns, 0)
        self._ns = now
        return lap


class _Appointment:
    """Something to be called later, unless it is cancelled before.

    A call that ends cancels its deadline while it holds its own lock. What grpc_testing
    returns for that takes the lock of the clock, which `FakeClock.advance` holds while
    deadlines take those of their calls; so it would wait for ever.
    """

    def __init__(self, behavior: Callable[[], object]) -> None:
        self._behavior = behavior
        self._cancelled = False

    def cancel(self) -> None:
        """Do not call it any more."""
        self._cancelled = True

    def __call__(self) -> None:
        if not self._cancelled:
            self._behavior()


@dataclass(frozen=True, slots=True)
class CallStatus:
    """What a call ended with."""

    code: grpc.StatusCode
    details: str
    trailing_metadata: Metadata

    def __str__(self) -> str:
        return f"{self.code.name}: {self.details}" if self.details else self.code.name


class StageDriver:
    """One call of `Stage.Process`, opened as it is made and driven step by step.

    ``stage`` is a stage, or a servicer of one's own. As a context manager it always
    ends the call, and the thread that serves it.

    The deadline ``timeout_s`` goes by ``clock``, and so do the times that a stage
    reports, but for the CPU of the whole process. What the clock is moved by inside
    the stage function is counted as processing; with no batch unanswered, as waiting;
    from outside while the stage works on a batch, as either.

    No method waits longer than ``patience_s``, in real time, for a servicer that
    neither replies, nor asks for a batch, nor ends: that raises StageError.
    """

    def __init__(
        self,
        stage: Stage[Any, Any] | Servicer,
        clock: FakeClock,
        *,
        timeout_s: float | None = None,
        metadata: Sequence[tuple[str, str | bytes]] = (),
        patience_s: float = 10.0,
    ) -> None:
        if timeout_s is not None:
            timeout_ns = _nanoseconds("timeout_s", timeout_s)
            if not timeout_ns:
                raise UsageError(f"timeout_s {timeout_s}: must be more than 0")
            timeout_s = timeout_ns / _NS
        if isinstance(stage, Stage):
            self._name = f"stage {stage.name}"
            servicer: Servicer = StageServicer(stage, clock.stopwatch)
        else:
            self._name = f"stage {type(stage).__name__}"
            servicer = stage
            if not callable(getattr(servicer, "Process", None)):
                raise UsageError(f"{self._name}: has no method Process to drive")
        self._patience_s = patience_s
        self._number = 0
        self._half_closed = False
        self._watched = _WatchedServicer(servicer)
        service = SERVICES["Stage"]
        server = grpc_testing.server_from_dictionary({service: self._watched}, clock)
        self._rpc = server.invoke_stream_stream(
            service.methods_by_name["Process"], tuple(metadata), timeout_s
        )
        try:
            self._settle()
        except BaseException:
            self.cancel()
            raise

    def send(self, message: Message, records: int | None = None) -> None:
        """Send a batch as it is, or a payload that stands for ``records`` records.

        A payload gets the number after that of the batch before. As on a wire, to send
        on a call that the stage has ended is no error: `receive` and `close` tell.
        Raises UsageError after `close` or `cancel`.
        """
        if self._half_closed:
            raise UsageError(f"{self._name}: the call is closed, nothing can be sent")
        batch = Batch(number=self._number, records=records)
        if not isinstance(message, Batch):
            if records is None:
                name = type(message).__name__
                raise UsageError(f"records: must say how many a {name} stands for")
            pack(message, into=batch.payload)
        elif records is not None:
            raise UsageError("records: a batch says itself how many it has")
        else:
            batch.CopyFrom(message)
        self._number = batch.number + 1
        self._watched.count_sent()
        self._rpc.send_request(batch)

    def receive(self) -> Batch:
        """Take the next reply, waiting while the stage works on it.

        Raises, where none will come: StageError, with status and details, if the call
        has failed, as FunctionError if the stage function did; ContractError if the
        stage left a batch without a reply; UsageError if no batch is unanswered.
        """
        __tracebackhide__ = True
        watched = self._watched
        self._await(watched.has_replied_or_will_not, "has not replied")
        if not watched.take_reply():
            raise self._no_reply()
        reply = self._rpc.take_response()
        if not isinstance(reply, Batch):
            raise ContractError(
                f"{self._name}: replied with {type(reply).__name__}, not with Batch"
            )
        self._settle()
        return reply

    def exchange(self, message: Message, records: int | None = None) -> Batch:
        """Send as `send` does, then take the next reply as `receive` does."""
        __tracebackhide__ = True
        self.send(message, records)
        return self.receive()

    def payload(self, reply: Batch, wanted: type[M]) -> M:
        """Return the message in a reply; raise ContractError if it is another one."""
        try:
            return unpack(reply.payload, wanted)
        except PayloadError as error:
            raise ContractError(
                f"{self._name}: batch {reply.number}: the payload of the reply is no "
                f"{wanted.DESCRIPTOR.full_name}"
            ) from error

    def close(self) -> CallStatus:
        """Send no more, and return what the call ends with.

        Replies that the stage has made by then can still be received.
        """
        self._half_closed = True
        self._rpc.requests_closed()
        try:
            self._await(self._watched.has_ended, "has not ended the call")
        except BaseException:
            self.cancel()
            raise
        return self._status()

    def cancel(self) -> None:
        """End the call at once, as a client that goes away does."""
        self._half_closed = True
        self._rpc.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is None:
            self.close()
        else:
            self.cancel()
        if not self._watched.join(self._patience_s) and exc is None:
            raise StageError(
                f"{self._name}: still works {self._patience_s:g} s after the call ended"
            )

    def _settle(self) -> None:
        """Wait until nothing goes on in the servicer, unless it has work to do.

        Without that, it would be left to chance what time is counted as.
        """
        self._await(self._watched.is_settled, "has not asked for a batch")

    def _await(self, happened: Callable[[], bool], failure: str) -> None:
        if not self._watched.wait_for(happened, self._patience_s):
            raise StageError(f"{self._name}: {failure} in {self._patience_s:g} s")

    def _no_reply(self) -> PipelineError:
        """Return what it stands for that there is no reply."""
        unanswered = self._watched.unanswered
        if not self._watched.has_ended():
            if unanswered:
                return ContractError(
                    f"{self._name}: asks for another batch with {unanswered} unanswered"
                )
            return UsageError(f"{self._name}: no batch is unanswered; send one first")
        status = self._status()
        message = f"{self._name}: no reply, the call has ended: {status}"
        if status.code is grpc.StatusCode.OK:
            if self._half_closed and not unanswered:
                return UsageError(message)
            return ContractError(message)
        for key, value in status.trailing_metadata:
            if key == TRACEBACK_KEY and isinstance(value, bytes):
                return FunctionError(message, value.decode(errors="replace"))
        return StageError(message)

    def _status(self) -> CallStatus:
        """Return what the call, which is over, has ended with."""
        try:
            metadata, code, details = self._rpc.termination()
        except ValueError:
            return CallStatus(grpc.StatusCode.CANCELLED, "cancelled by the client", ())
        metadata = self._watched.metadata_of_abort or metadata
        return CallStatus(
            code,
            details,
            # What starts with grpc. is not the servicer's but of the runtime.
            tuple(item for item in metadata if not item[0].startswith("grpc.")),
        )


class _WatchedServicer:
    """A servicer for one call, and what is known of how far it has got."""

    def __init__(self, servicer: Servicer) -> None:
        self._servicer = servicer
        self._moved = threading.Condition()
        self._context: _Context | None = None
        self._thread: threading.Thread | None = None
        #: The thread that waits for a request, or is about to.
        self._asking: threading.Thread | None = None
        self._sent = 0
        self._taken = 0
        self._replies_made = 0
        self._replies_taken = 0

    def Process(  # noqa: N802 - named by the contract
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Do as the servicer does."""
        watched = _Context(context)
        with self._moved:
            self._thread = threading.current_thread()
            self._context = watched
        context.add_callback(self._wake)
        try:
            for reply in self._servicer.Process(
                _WatchedRequests(requests, self), watched
            ):
                yield reply
                with self._moved:
                    # One that came too late is none.
                    if context.is_active():
                        self._replies_made += 1
                        self._moved.notify_all()
        except Exception:
            # It has told the client already, and what it raises then says nothing.
            if watched.metadata_of_abort is None:
                raise

    @property
    def metadata_of_abort(self) -> Metadata | None:
        """The trailing metadata of a call that the servicer aborted."""
        return self._context.metadata_of_abort if self._context else None

    @property
    def unanswered(self) -> int:
        """How many batches no reply was taken for."""
        return self._sent - self._replies_taken

    def wait_for(self, happened: Callable[[], bool], patience_s: float) -> bool:
        """Wait until something has happened; say whether it has."""
        with self._moved:
            return self._moved.wait_for(happened, patience_s)

    def has_ended(self) -> bool:
        """Say whether the call is over, though its thread may still run."""
        return self._context is not None and not self._context.is_active()

    def has_replied_or_will_not(self) -> bool:
        """Say whether there is a reply, or none can come until more is sent."""
        return (
            self._replies_made > self._replies_taken
            or self.has_ended()
            or self.unanswered <= 0
            # Replies are made in the thread of the call, and that waits for a request.
            or (self._asking is self._thread and self._taken == self._sent)
        )

    def is_settled(self) -> bool:
        """Say whether the servicer waits for a batch, works on one, or has ended."""
        return (
            self.unanswered > 0
            or self._replies_made > self._replies_taken
            or (self._asking is not None and self._taken == self._sent)
            or self.has_ended()
        )

    def count_sent(self) -> None:
        """Take note of a request that is about to be sent."""
        with self._moved:
            self._sent += 1

    def take_reply(self) -> bool:
        """Claim a reply that can be taken without waiting; say if there is one."""
        with self._moved:
            ready = self._replies_made > self._replies_taken
            self._replies_taken += ready
            return ready

    def asks(self) -> None:
        """Take note that the calling thread wants the next request."""
        with self._moved:
            self._asking = threading.current_thread()
            self._moved.notify_all()

    def got(self) -> None:
        """Take note that it has it."""
        with self._moved:
            self._asking = None
            self._taken += 1

    def join(self, patience_s: float) -> bool:
        """Wait for the end of the thread of the call; say whether it has ended."""
        if self._thread is None:
            return True
        self._thread.join(patience_s)
        return not self._thread.is_alive()

    def _wake(self) -> None:
        with self._moved:
            self._moved.notify_all()


class _WatchedRequests:
    """The requests of a call, for one thread at a time."""

    def __init__(self, requests: Iterator[Batch], watched: _WatchedServicer) -> None:
        self._requests = requests
        self._watched = watched

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Batch:
        self._watched.asks()
        # Where this raises, the call has ended or is closed, and no reply is awaited.
        request = next(self._requests)
        self._watched.got()
        return request


class _Context:
    """The context of a call, which keeps the trailing metadata of an abort.

    grpc_testing loses it, where gRPC sends it.
    """

    def __init__(self, context: grpc.ServicerContext) -> None:
        self._context = context
        self._trailing: Metadata = ()
        self.metadata_of_abort: Metadata | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def set_trailing_metadata(self, metadata: Metadata) -> None:
        """Set what the client gets with the status."""
        self._trailing = tuple(metadata)
        self._context.set_trailing_metadata(metadata)

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        """Raise, and end the call with that status unless it is over."""
        self.metadata_of_abort = self._trailing if self._context.is_active() else ()
        self._context.abort(code, details)


def _nanoseconds(name: str, seconds: float) -> int:
    if not 0 <= seconds < float("inf"):
        raise UsageError(f"{name} {seconds}: must be a number of seconds, not negative")
    return round(seconds * _NS)
