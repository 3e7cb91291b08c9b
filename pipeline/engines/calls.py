"""Calls to stages: what each connection counts, and what errors failed calls become."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, TypeVar

from google.protobuf.message import DecodeError, Message

from pipeline.accounting import StageAccount
from pipeline.errors import (
    ConservationError,
    ContractError,
    FunctionError,
    LostStageError,
    PipelineError,
    StageError,
)
from pipeline.transport import wire
from pipeline.transport.client import Call, CallEnded, CallStatus, Channel, StatusCode
from pipeline.transport.health import check_health
from pipeline.v1.pipeline_pb2 import Batch, Timing

T = TypeVar("T")
M = TypeVar("M", bound=Message)

# The status of a call that has failed arrives within milliseconds.
_STATUS_S = 2.0

#: Called for each batch that crosses a leg: with the stage, whether the batch went to
#: the stage or came from it, the batch as it stands, and the bytes of its message.
OnMessage = Callable[[str, Literal["to", "from"], Batch, int], None]


@dataclass(frozen=True, slots=True)
class StageConnection:
    """The orchestrator's end of a connection to one stage server."""

    stage: str
    address: str
    channel: Channel
    account: StageAccount
    #: Returns how the server process ended; empty if it runs or was started elsewhere.
    exit_summary: Callable[[], str]
    #: Kills the server process; does nothing to a server started elsewhere.
    kill: Callable[[], None]
    on_message: OnMessage

    def __str__(self) -> str:
        return f"stage {self.stage} at {self.address}"

    def decoded(self, message_type: type[M], raw: bytes) -> M:
        """Return the message that the stage has sent as ``raw``.

        Raises:
            ContractError: It has sent something else.
        """
        try:
            return message_type.FromString(raw)
        except DecodeError:
            raise ContractError(
                f"stage {self.stage} sent bytes that are no "
                f"{message_type.DESCRIPTOR.full_name}"
            ) from None

    def sent(self, batch: Batch, size: int) -> None:
        """Count a batch that went to the stage in ``size`` bytes."""
        self.account.message_in(size)
        self.on_message(self.stage, "to", batch, size)

    def received(self, batch: Batch, size: int) -> None:
        """Count a batch that came from the stage in ``size`` bytes, and its timing."""
        self.account.message_out(size)
        self.account.spend(batch.timing)
        self.on_message(self.stage, "from", batch, size)


class StageCall:
    """A call to a stage. If it fails, an error of the pipeline says why."""

    def __init__(
        self,
        connection: StageConnection,
        call: Call,
        precondition_error: type[PipelineError] | None = None,
    ) -> None:
        """Watch ``call``.

        Args:
            connection: Where the call goes.
            call: The call, just started.
            precondition_error: The error that FAILED_PRECONDITION stands for, if the
                service that is called has one: a source that can't be read, or a result
                that can't be written.
        """
        self._connection = connection
        self._call = call
        self._precondition_error = precondition_error
        #: Why the call was given up; empty while it goes on.
        self._given_up = ""

    @property
    def is_given_up(self) -> bool:
        """Whether the call was given up."""
        return bool(self._given_up)

    def give_up(self, reason: str) -> None:
        """Cancel the call and kill the server: it hangs, as ``reason`` says."""
        self._given_up = reason
        self._connection.kill()
        self._call.cancel()

    async def give_up_unless_healthy(self, timeout_s: float) -> None:
        """Give the call up if the server does not answer a health check in time."""
        to = self._connection
        try:
            await check_health(to.stage, to.address, to.channel, timeout_s)
        except StageError:
            self.give_up("it hangs: it does not answer a health check")

    async def result_of(self, operation: Awaitable[T]) -> T:
        """Await an operation of the call; raise why the call has failed if it has."""
        try:
            return await operation
        except CallEnded:
            raise await self.error() from None

    async def finish_write(self, operation: Awaitable[object]) -> None:
        """Await a write of a call that another task reads.

        If the call has ended, this returns as if it had not: the reading task first
        receives what the stage sent before, then raises why the call has ended.
        """
        with suppress(CallEnded):
            await operation

    async def error(self) -> PipelineError:
        """Return why a call has ended that should have gone on."""
        if self._given_up:
            return lost(self._connection, self._given_up)
        try:
            async with asyncio.timeout(_STATUS_S):
                status = await self._call.status()
        except TimeoutError:
            return lost(self._connection, "the call failed")
        return self._error_of(status)

    async def spend_last_timing(self) -> None:
        """Wait for the call to end, and account for the timing sent with its status."""
        for key, value in (await self._call.status()).trailing_metadata:
            if key == wire.TIMING_KEY and isinstance(value, bytes):
                self._connection.account.spend(Timing.FromString(value))

    def _error_of(self, status: CallStatus) -> PipelineError:
        connection, code, details = self._connection, status.code, status.details
        stage = f"stage {connection.stage}"
        if code is StatusCode.OK:
            return ContractError(
                f"{stage} ended its stream before it had answered everything"
            )
        if self._precondition_error and code is StatusCode.FAILED_PRECONDITION:
            return self._precondition_error(details)
        if code is StatusCode.DATA_LOSS:
            return ConservationError(details)
        # A server that is being stopped ends its calls with CANCELLED.
        if code in {StatusCode.UNAVAILABLE, StatusCode.CANCELLED}:
            reason = connection.exit_summary() or (
                f"{details}{wire.proxy_hint(connection.address)}"
            )
            return lost(connection, reason)
        if code is StatusCode.UNIMPLEMENTED:
            return StageError(f"{connection}: what listens there is another stage")
        return _failure(f"{stage}: {details or code.name}", status)


def lost(connection: StageConnection, reason: str) -> LostStageError:
    """Return the error of a server that is lost."""
    return LostStageError(f"{connection} is lost: {reason}", reason)


def _failure(message: str, status: CallStatus) -> StageError:
    """Return the error of a stage that failed, with its traceback if it sent one."""
    for key, value in status.trailing_metadata:
        if key == wire.TRACEBACK_KEY and isinstance(value, bytes):
            return FunctionError(message, value.decode(errors="replace"))
    return StageError(message)
