"""Calls to stages, and how they ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import grpc

from pipeline.accounting import StageAccount
from pipeline.errors import (
    ConservationError,
    ContractError,
    FunctionError,
    PipelineError,
    SinkError,
    SourceError,
    StageError,
)
from pipeline.stages import INGEST, SINK
from pipeline.transport import wire
from pipeline.v1.pipeline_pb2 import Batch, Timing

T = TypeVar("T")

# What gRPC says of a call when a write to it has failed, whatever the stage said.
_WRITE_FAILED = "Internal error from Core"
# The status of a call that has ended is there in milliseconds.
_STATUS_S = 2.0
_LOOK_AGAIN_S = 0.001

# What a failed operation of a call raises.
_ENDED = (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError)


#: Called for each batch that crosses a leg: with the stage, whether it went to the
#: stage or came from it, the batch as it stands, and the bytes of its message.
OnMessage = Callable[[str, Literal["to", "from"], Batch, int], None]


@dataclass(frozen=True, slots=True)
class StageConnection:
    """The stage at the other end of a leg."""

    stage: str
    address: str
    channel: grpc.aio.Channel
    account: StageAccount
    #: Says what became of the server process, or nothing if it is not ours.
    exit_summary: Callable[[], str]
    on_message: OnMessage

    def __str__(self) -> str:
        return f"stage {self.stage} at {self.address}"

    def sent(self, batch: Batch, size: int) -> None:
        """Take note of a batch that went to the stage, in ``size`` bytes."""
        self.account.message_in(size)
        self.on_message(self.stage, "to", batch, size)

    def received(self, batch: Batch, size: int) -> None:
        """Take note of a batch that came from the stage, and the time it tells."""
        self.account.message_out(size)
        self.account.spend(batch.timing)
        self.on_message(self.stage, "from", batch, size)


@dataclass(frozen=True, slots=True)
class CallStatus:
    """What a call ended with."""

    code: grpc.StatusCode
    details: str
    trailing_metadata: grpc.aio.Metadata


class StageCall:
    """How a call ended, in the words of its peer.

    A write that fails because the call has ended makes gRPC replace the status that
    the peer sent by one of its own, so the status is noted when it comes. If the write
    fails before that, the peer's replaces gRPC's, which nobody is told.
    """

    def __init__(self, connection: StageConnection, call: grpc.aio.Call) -> None:
        self._connection = connection
        self._call = call
        self._status: asyncio.Future[CallStatus] = (
            asyncio.get_running_loop().create_future()
        )
        call.add_done_callback(self._note)

    async def of(self, operation: Awaitable[T]) -> T:
        """Await an operation of the call; raise what its end stands for if it ended."""
        try:
            return await operation
        except _ENDED:
            raise await self.error() from None

    async def of_write(self, operation: Awaitable[T]) -> T:
        """Await a write of a call that is being read at the same time.

        Only the read side can tell why the call has ended, once it has read what came
        before, and fails then: this does not return.
        """
        try:
            return await operation
        except _ENDED:
            return await asyncio.Future[T]()

    async def error(self) -> PipelineError:
        """Return what the end of the call stands for where it should have gone on."""
        try:
            async with asyncio.timeout(_STATUS_S):
                while not self._status.done():
                    await asyncio.sleep(_LOOK_AGAIN_S)
                    if self._call.done():
                        self._note(self._call)
        except TimeoutError:
            return StageError(f"{self._connection}: the call failed")
        return _error(self._connection, self._status.result())

    async def spend_last_timing(self) -> None:
        """Account for what the stage says it spent after its last reply."""
        for key, value in (await self._status).trailing_metadata:
            if key == wire.TIMING_KEY and isinstance(value, bytes):
                self._connection.account.spend(Timing.FromString(value))

    def _note(self, _: object) -> None:
        call = self._call
        details = _at_once(call.details())
        if details != _WRITE_FAILED and not self._status.done():
            self._status.set_result(
                CallStatus(
                    _at_once(call.code()),
                    details or "",
                    _at_once(call.trailing_metadata()),
                )
            )


def _error(connection: StageConnection, status: CallStatus) -> PipelineError:
    code, details = status.code, status.details
    stage = f"stage {connection.stage}"
    if code is grpc.StatusCode.OK:
        return ContractError(
            f"{stage} ended its stream before it had answered everything"
        )
    if code is grpc.StatusCode.FAILED_PRECONDITION and connection.stage in _REFUSALS:
        return _REFUSALS[connection.stage](details)
    if code is grpc.StatusCode.DATA_LOSS:
        return ConservationError(details)
    # CANCELLED is what a server says that is being stopped.
    if code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}:
        became = connection.exit_summary() or details
        return StageError(f"{connection} is lost: {became}")
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return StageError(f"{connection}: what listens there is another stage")
    return _failure(f"{stage}: {details or code.name}", status)


def _failure(message: str, status: CallStatus) -> StageError:
    """Return the error of a stage that failed, with the traceback if it sent one."""
    for key, value in status.trailing_metadata:
        if key == wire.TRACEBACK_KEY and isinstance(value, bytes):
            return FunctionError(message, value.decode(errors="replace"))
    return StageError(message)


def _at_once(answer: Coroutine[Any, Any, T]) -> T:
    """Return what a call that has ended answers without waiting."""
    try:
        answer.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    answer.close()
    raise RuntimeError("a call that has ended does not know its status")


_REFUSALS: dict[str, Callable[[str | None], PipelineError]] = {
    INGEST: SourceError,
    SINK: SinkError,
}
