"""The legs: one stream to one stage server each, and its part in the account.

A batch travels as a `Transit`: the message as the last stage sent it, and what the
orchestrator has learnt about it on the way. Its payload is never decoded here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc

from pipeline.accounting import RunAccount
from pipeline.engines.base import check_counts
from pipeline.engines.calls import Ending, Peer
from pipeline.errors import ContractError, PipelineError
from pipeline.transport import wire
from pipeline.v1.pipeline_pb2 import (
    Batch,
    Commit,
    ReadRequest,
    Rejection,
    Target,
    WriteRequest,
    WriteSummary,
)

# A sink discards its draft in milliseconds, unless it is frozen or gone.
_ABANDON_S = 2.0


@dataclass(slots=True)
class Transit:
    """A batch on its way through the stages."""

    batch: Batch
    #: Sequence number of the first record that ingest put into it.
    first_record: int
    filtered: int = 0
    rejections: list[tuple[str, Rejection]] = field(default_factory=list)

    def arrive(self, stage: str, batch: Batch) -> None:
        """Replace the message by what ``stage`` made of it; keep what it says of it."""
        self.filtered += batch.filtered
        if batch.rejections:
            self.rejections += [(stage, rejection) for rejection in batch.rejections]
        for name in ("filtered", "rejections", "timing"):
            batch.ClearField(name)
        batch.first_record = self.first_record
        self.batch = batch


class IngestLeg:
    """Receives batches from ingest; ``account`` learns of each as it comes."""

    def __init__(self, peer: Peer, request: ReadRequest, account: RunAccount) -> None:
        self._peer = peer
        self._account = account
        read: grpc.aio.UnaryStreamMultiCallable[ReadRequest, bytes] = (
            peer.channel.unary_stream(
                wire.READ, request_serializer=ReadRequest.SerializeToString
            )
        )
        call = read(request)
        self._batches = aiter(call)
        self._ending = Ending(peer, call)

    async def receive(self) -> Transit | None:
        """Return the next batch; None at the end."""
        raw = await self._ending.of(anext(self._batches, None))
        if raw is None:
            await self._ending.spend_last_timing()
            return None
        batch = Batch.FromString(raw)
        if batch.number != self._account.batches:
            raise ContractError(
                f"stage {self._peer.stage} sent batch {batch.number} where batch "
                f"{self._account.batches} is next"
            )
        transit = Transit(batch, first_record=self._account.ingested + 1)
        self._account.ingest(batch.records + batch.filtered + len(batch.rejections))
        self._peer.received(batch, len(raw))
        transit.arrive(self._peer.stage, batch)
        return transit


class TransformLeg:
    """Sends batches to a server of a transform stage and receives them back."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        process: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = (
            peer.channel.stream_stream(wire.PROCESS)
        )
        self._call = process()
        self._replies = aiter(self._call)
        self._ending = Ending(peer, self._call)
        self._closed = False
        self._in_flight: deque[Transit] = deque()

    @property
    def unanswered(self) -> int:
        """Batches that were sent and not answered yet."""
        return len(self._in_flight)

    async def send(self, transit: Transit, raw: bytes) -> None:
        """Send a batch, whose bytes are ``raw``."""
        self._in_flight.append(transit)
        self._peer.sent(transit.batch, len(raw))
        await self._ending.of_write(self._call.write(raw))

    async def close(self) -> None:
        """Say that no batch follows."""
        self._closed = True
        await self._ending.of_write(self._call.done_writing())

    async def receive(self) -> Transit | None:
        """Return the next batch that the server has answered; None at the end."""
        raw = await self._ending.of(anext(self._replies, None))
        if raw is None:
            if self._in_flight or not self._closed:
                raise await self._ending.error()
            await self._ending.spend_last_timing()
            return None
        reply = Batch.FromString(raw)
        transit = self._answered(reply)
        self._peer.received(reply, len(raw))
        transit.arrive(self._peer.stage, reply)
        return transit

    def _answered(self, reply: Batch) -> Transit:
        """Return the batch that ``reply`` answers, which must be the oldest."""
        stage = self._peer.stage
        if not self._in_flight:
            raise ContractError(
                f"stage {stage} sent batch {reply.number}, but everything is answered"
            )
        transit = self._in_flight.popleft()
        asked = transit.batch
        if reply.number != asked.number:
            raise ContractError(
                f"stage {stage} answered batch {reply.number} where batch "
                f"{asked.number} is next"
            )
        check_counts(
            stage,
            asked.number,
            given=asked.records,
            records=reply.records,
            filtered=reply.filtered,
            rejected=len(reply.rejections),
        )
        return transit


class SinkLeg:
    """Sends batches to the sink; ``settle`` is told of each as it goes."""

    def __init__(
        self, peer: Peer, target: str, settle: Callable[[Transit], None]
    ) -> None:
        self._peer = peer
        # As a call with a stream of answers, of which there is one, because grpc.aio
        # may lose the status of a call that ends while a single answer is awaited.
        write: grpc.aio.StreamStreamMultiCallable[bytes, WriteSummary] = (
            peer.channel.stream_stream(
                wire.WRITE, response_deserializer=WriteSummary.FromString
            )
        )
        self._call = write()
        self._answers = aiter(self._call)
        self._ending = Ending(peer, self._call)
        self._target = target
        self._settle = settle

    async def open(self) -> None:
        """Name the target."""
        await self._write(WriteRequest(target=Target(path=self._target)))

    async def send(self, transit: Transit) -> None:
        """Send a batch that has passed all stages."""
        size = await self._write(WriteRequest(batch=transit.batch))
        self._peer.sent(transit.batch, size)
        self._settle(transit)

    async def close(self) -> None:
        """Leave the stream open: the run is not judged yet."""

    async def abandon(self) -> None:
        """End the stream without a commit, and wait until the draft is discarded."""
        try:
            async with asyncio.timeout(_ABANDON_S):
                await self._ending.of(self._call.done_writing())
                await self._ending.of(anext(self._answers, None))
        except (PipelineError, TimeoutError):
            pass
        except asyncio.CancelledError:
            # A relay that was stopped in the middle of a write has ended the call.
            if not self._call.cancelled():
                raise

    async def commit(self, batches: int, records: int) -> WriteSummary:
        """Have the result published; raise ConservationError if it is not whole."""
        await self._write(WriteRequest(commit=Commit(batches=batches, records=records)))
        await self._ending.of(self._call.done_writing())
        summary = await self._ending.of(anext(self._answers, None))
        if summary is None:
            raise await self._ending.error()
        self._peer.account.spend(summary.timing)
        # What comes after the event loop is closed makes gRPC complain.
        await self._ending.spend_last_timing()
        return summary

    async def _write(self, request: WriteRequest) -> int:
        raw = request.SerializeToString()
        await self._ending.of(self._call.write(raw))
        return len(raw)
