"""Drives a transform stage message by message, without a socket, by a fake clock.

Importing this module needs grpcio-testing, which the ``test`` extra installs. That
package runs the servicer in a thread and waits for it without a timeout. This driver
watches the servicer, so that it raises at once if a reply can no longer come.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
import grpc_testing
from google.protobuf.message import Message

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
from pytest_pipeline.servers.fake_clock import NS_PER_S, FakeClock, nanoseconds
from pytest_pipeline.servers.watched_servicer import (
    Metadata,
    Servicer,
    WatchedServicer,
)

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class CallStatus:
    """How a gRPC call ended."""

    code: grpc.StatusCode
    details: str
    trailing_metadata: Metadata

    def __str__(self) -> str:
        return f"{self.code.name}: {self.details}" if self.details else self.code.name


class StageDriver:
    """One call of `Stage.Process`, driven step by step.

    The call is open from the start. As a context manager, the driver always ends the
    call and the thread that serves it::

        with StageDriver(parse, FakeClock()) as driver:
            reply = driver.exchange(Lines(text=b"..."), records=1)

    The times that a stage reports go by ``clock``, except for the CPU time of the whole
    process. Time by which the clock is moved inside the stage function counts as
    processing; while every batch is answered, as waiting; from outside while the stage
    works on a batch, as one or the other.

    Args:
        stage: A stage, or a servicer with the method ``Process``.
        clock: The clock of the deadline and of the reported times.
        timeout_s: Seconds until the deadline of the call, on ``clock``; None for no
            deadline.
        metadata: The metadata that the client sends.
        patience_s: Real seconds that any method waits for a servicer that neither
            replies, nor asks for a batch, nor ends. Then it raises StageError.

    Raises:
        UsageError: ``timeout_s`` is not positive, or ``stage`` has no ``Process``.
        StageError: The servicer has not asked for a batch in time.
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
            timeout_ns = nanoseconds("timeout_s", timeout_s)
            if not timeout_ns:
                raise UsageError(f"timeout_s {timeout_s}: must be more than 0")
            timeout_s = timeout_ns / NS_PER_S
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
        self._watched = WatchedServicer(servicer)
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
        """Send a batch, or a payload in a new batch.

        As on a wire, sending on a call that the stage has ended is no error: `receive`
        and `close` report the end.

        Args:
            message: A batch, which is sent as it is, or the payload of one. A payload
                gets the number after that of the batch before it.
            records: Number of records in a payload; None for a batch.

        Raises:
            UsageError: The call is closed or cancelled, or ``records`` does not fit.
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
        """Return the next reply; wait while the stage works on it.

        Raises:
            FunctionError: The stage function failed.
            StageError: The call failed; the message has its status and details.
            ContractError: The stage left a batch without a reply.
            UsageError: No batch is unanswered.
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
        """Call `send`, then return what `receive` returns."""
        __tracebackhide__ = True
        self.send(message, records)
        return self.receive()

    def payload(self, reply: Batch, wanted: type[M]) -> M:
        """Return the message in a reply.

        Raises:
            ContractError: It is not a message of the type ``wanted``.
        """
        try:
            return unpack(reply.payload, wanted)
        except PayloadError as error:
            raise ContractError(
                f"{self._name}: batch {reply.number}: the payload of the reply is no "
                f"{wanted.DESCRIPTOR.full_name}"
            ) from error

    def close(self) -> CallStatus:
        """Send no more, and return how the call ended.

        Replies that the stage has made by then can still be received.

        Raises:
            StageError: The servicer has not ended the call in time.
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
        """End the call at once, like a client that disconnects."""
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
        """Wait until the servicer is idle or has a batch to work on.

        Otherwise it would depend on thread scheduling how time is counted.
        """
        self._await(self._watched.is_settled, "has not asked for a batch")

    def _await(self, happened: Callable[[], bool], failure: str) -> None:
        if not self._watched.wait_for(happened, self._patience_s):
            raise StageError(f"{self._name}: {failure} in {self._patience_s:g} s")

    def _no_reply(self) -> PipelineError:
        """Return the error that explains why there is no reply."""
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
        """Return how the call ended, once it is over."""
        try:
            metadata, code, details = self._rpc.termination()
        except ValueError:
            return CallStatus(grpc.StatusCode.CANCELLED, "cancelled by the client", ())
        metadata = self._watched.metadata_of_abort or metadata
        return CallStatus(
            code,
            details,
            # Keys that start with grpc. come from the runtime, not the servicer.
            tuple(item for item in metadata if not item[0].startswith("grpc.")),
        )
