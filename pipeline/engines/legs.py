"""The legs: one stream to each stage server, and its part in the account of the run."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pipeline.accounting import RunAccount
from pipeline.engines.base import check_counts
from pipeline.engines.calls import StageCall, StageConnection
from pipeline.errors import (
    ContractError,
    LostStageError,
    PipelineError,
    SinkError,
    SourceError,
    StageError,
)
from pipeline.transport import wire
from pipeline.transport.health import check_health
from pipeline.v1.pipeline_pb2 import (
    Batch,
    Commit,
    ReadRequest,
    Rejection,
    Target,
    WriteRequest,
    WriteSummary,
)

T = TypeVar("T")

# A sink that still runs discards its draft within milliseconds.
_ABANDON_S = 2.0
# Longest wait for the health check of a server that has been silent for long.
_HEALTH_S = 10.0


@dataclass(slots=True)
class InFlightBatch:
    """A batch between two stages, with what the orchestrator has learnt of it so far.

    Its payload is never decoded.
    """

    #: The batch as the last stage sent it.
    message: Batch
    #: Sequence number of the first record that ingest put into it, and their number.
    first_record: int
    ingested: int
    filtered: int = 0
    rejections: list[tuple[str, Rejection]] = field(default_factory=list)
    #: The batches that replace this one, in order, if a stage got it in pieces.
    pieces: Sequence[InFlightBatch] = ()
    #: Whether it is the last of the pieces of a batch that ingest sent.
    is_last: bool = True

    def arrive(self, stage: str, message: Batch) -> None:
        """Replace the message by the reply of ``stage``, and keep the reply's counts.

        The counts and the timing are cleared in the message: they are not for the next
        stage.
        """
        self.filtered += message.filtered
        if message.rejections:
            self.rejections += [(stage, rejection) for rejection in message.rejections]
        for name in ("filtered", "rejections", "timing"):
            message.ClearField(name)
        message.first_record = self.first_record
        self.message = message


class IngestLeg:
    """Receives batches from ingest and counts them in the run's account."""

    def __init__(
        self, connection: StageConnection, request: ReadRequest, account: RunAccount
    ) -> None:
        self._connection = connection
        self._account = account
        self._request = request
        self._call = connection.channel.call(wire.READ)
        self._stage_call = StageCall(
            connection, self._call, precondition_error=SourceError
        )
        self._is_receiving = False

    def awaited(self) -> int | None:
        """Return the number of the batch that is waited for; None if none is."""
        return self._account.batches if self._is_receiving else None

    async def overdue(self, waited_s: float) -> None:
        """Give up the server unless it is healthy: then its source makes it wait."""
        await self._stage_call.give_up_unless_healthy(min(waited_s, _HEALTH_S))

    async def open(self) -> None:
        """Send the request."""
        raw = self._request.SerializeToString()
        await self._stage_call.finish_write(self._call.send(raw))
        await self._stage_call.finish_write(self._call.half_close())

    async def receive(self) -> InFlightBatch | None:
        """Return the next batch; None at the end."""
        self._is_receiving = True
        raw = await self._stage_call.result_of(self._call.receive())
        self._is_receiving = False
        if raw is None:
            await self._stage_call.spend_last_timing()
            return None
        message = self._connection.decoded(Batch, raw)
        if message.number != self._account.batches:
            raise ContractError(
                f"stage {self._connection.stage} sent batch {message.number} where "
                f"batch {self._account.batches} is next"
            )
        batch = InFlightBatch(
            message,
            first_record=self._account.ingested + 1,
            ingested=message.records + message.filtered + len(message.rejections),
        )
        self._account.ingest(batch.ingested)
        self._connection.received(message, len(raw))
        batch.arrive(self._connection.stage, message)
        return batch


class TransformLeg:
    """Sends batches to a server of a transform stage and receives the replies.

    Args:
        connection: To the server.
        observe: Called for each reply, with the ingested records of the batch, and the
            seconds from when the server could begin it.
    """

    def __init__(
        self,
        connection: StageConnection,
        observe: Callable[[int, float], None] = lambda *_: None,
    ) -> None:
        self._connection = connection
        self._observe = observe
        self._call = connection.channel.call(wire.PROCESS)
        self._stage_call = StageCall(connection, self._call)
        self._closed = False
        #: The batches that were sent, and when; the oldest first.
        self._in_flight: deque[tuple[InFlightBatch, float]] = deque()
        self._replied = 0.0
        self._is_receiving = False

    @property
    def unanswered(self) -> int:
        """The number of batches that were sent and have no reply yet."""
        return len(self._in_flight)

    def take_unanswered(self) -> deque[InFlightBatch]:
        """Return the batches that have no reply yet, the oldest first; keep none."""
        taken = deque(batch for batch, _ in self._in_flight)
        self._in_flight.clear()
        return taken

    def awaited(self) -> float | None:
        """Return when the oldest batch in flight was sent; None if no reply is due."""
        if not self._is_receiving or not self._in_flight:
            return None
        return self._in_flight[0][1]

    async def overdue(self, waited_s: float) -> None:
        """Give up the server: it has not answered its oldest batch for so long."""
        number = self._in_flight[0][0].message.number
        self._stage_call.give_up(
            f"it has not answered batch {number} for {waited_s:g} s; if it needs "
            f"longer, raise --stage-timeout"
        )

    async def send(self, batch: InFlightBatch, raw: bytes) -> None:
        """Send a batch; ``raw`` is its message, serialised."""
        self._in_flight.append((batch, time.perf_counter()))
        self._connection.sent(batch.message, len(raw))
        await self._stage_call.finish_write(self._call.send(raw))

    async def close(self) -> None:
        """Half-close the stream: no batch follows."""
        self._closed = True
        await self._stage_call.finish_write(self._call.half_close())

    async def receive(self) -> InFlightBatch | None:
        """Return the next batch that the server has answered; None at the end.

        Raises:
            LostStageError: The server is lost.
            StageError: The stage has failed.
        """
        self._is_receiving = True
        raw = await self._stage_call.result_of(self._call.receive())
        self._is_receiving = False
        if raw is None:
            if self._in_flight or not self._closed:
                raise await self._stage_call.error()
            await self._stage_call.spend_last_timing()
            return None
        reply = self._connection.decoded(Batch, raw)
        batch = self._answered_by(reply)
        self._connection.received(reply, len(raw))
        batch.arrive(self._connection.stage, reply)
        return batch

    def _answered_by(self, reply: Batch) -> InFlightBatch:
        """Return the oldest batch in flight; ContractError unless ``reply`` fits it."""
        stage = self._connection.stage
        if not self._in_flight:
            raise ContractError(
                f"stage {stage} sent batch {reply.number}, but everything is answered"
            )
        batch, sent = self._in_flight.popleft()
        now = time.perf_counter()
        self._observe(batch.ingested, now - max(sent, self._replied))
        self._replied = now
        request = batch.message
        if reply.number != request.number:
            raise ContractError(
                f"stage {stage} answered batch {reply.number} where batch "
                f"{request.number} is next"
            )
        check_counts(
            stage,
            request.number,
            given=request.records,
            records=reply.records,
            filtered=reply.filtered,
            rejected=len(reply.rejections),
        )
        return batch


class LostSinkError(LostStageError):
    """The sink is lost before the commit, and with it what it has added up."""


class SinkLeg:
    """Sends batches to the sink, and calls ``settle`` with each once it is sent."""

    def __init__(
        self,
        connection: StageConnection,
        target: str,
        settle: Callable[[InFlightBatch], Awaitable[None]],
    ) -> None:
        self._connection = connection
        self._call = connection.channel.call(wire.WRITE)
        self._stage_call = StageCall(
            connection, self._call, precondition_error=SinkError
        )
        self._target = target
        self._settle = settle
        #: Operations of the call that have begun, and whether the last one goes on.
        self._operations = 0
        self._is_waiting = False

    def awaited(self) -> int | None:
        """Return which operation of the call is waited for; None if none is."""
        return self._operations if self._is_waiting else None

    async def overdue(self, waited_s: float) -> None:
        """Give up the server unless it is healthy: then its disk makes it wait."""
        await self._stage_call.give_up_unless_healthy(min(waited_s, _HEALTH_S))

    async def open(self) -> None:
        """Send the path of the result file; raise LostSinkError if the sink is lost."""
        await self._write_first(WriteRequest(target=Target(path=self._target)))

    async def send(self, batch: InFlightBatch) -> None:
        """Send a batch that has passed all stages.

        Raises:
            LostSinkError: The sink is lost.
        """
        size = await self._write_first(WriteRequest(batch=batch.message))
        self._connection.sent(batch.message, size)
        await self._settle(batch)

    async def close(self) -> None:
        """Do nothing: whether the run is committed or abandoned is still open."""

    async def check(self, timeout_s: float) -> None:
        """Check that the sink is there: what was written may not have reached it.

        Raises:
            LostSinkError: It is lost, or does not answer in time.
        """
        to = self._connection
        try:
            await check_health(to.stage, to.address, to.channel, timeout_s)
        except StageError as error:
            reason = to.exit_summary() or str(error)
            raise LostSinkError(f"{to} is lost: {reason}", reason) from error

    async def abandon(self) -> None:
        """End the stream without a commit, and wait until the draft is discarded."""
        if self._stage_call.is_given_up:
            return
        try:
            async with asyncio.timeout(_ABANDON_S):
                await self._stage_call.result_of(self._call.half_close())
                await self._stage_call.result_of(self._call.receive())
        except (PipelineError, TimeoutError):
            pass
        except asyncio.CancelledError:
            # A relay that was cancelled in the middle of a write cancels the call.
            if not self._call.cancelled():
                raise

    async def commit(self, batches: int, records: int) -> WriteSummary:
        """Have the sink publish the result of so many batches and records.

        Raises:
            ConservationError: The sink has counted others; nothing was published.
            SinkError: The result can't be written.
        """
        await self._write(WriteRequest(commit=Commit(batches=batches, records=records)))
        await self._result_of(self._call.half_close())
        raw = await self._result_of(self._call.receive())
        if raw is None:
            raise await self._stage_call.error()
        summary = self._connection.decoded(WriteSummary, raw)
        self._connection.account.spend(summary.timing)
        await self._stage_call.spend_last_timing()
        return summary

    async def _write_first(self, request: WriteRequest) -> int:
        """Write what goes before the commit."""
        try:
            return await self._write(request)
        except LostStageError as error:
            raise LostSinkError(str(error), error.reason) from error

    async def _write(self, request: WriteRequest) -> int:
        raw = request.SerializeToString()
        await self._result_of(self._call.send(raw))
        return len(raw)

    async def _result_of(self, operation: Awaitable[T]) -> T:
        """Await an operation of the call, as one that may be overdue."""
        self._operations += 1
        self._is_waiting = True
        result = await self._stage_call.result_of(operation)
        self._is_waiting = False
        return result
