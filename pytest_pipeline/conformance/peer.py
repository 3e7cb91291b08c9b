"""The stage under test, as the other end of a leg.

Whatever a stage does wrong raises Violation; any other exception is a fault of ours.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle, islice
from time import monotonic as now
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError

from pipeline.errors import PipelineError
from pipeline.stage import Output, Stage, Workload
from pipeline.transport import wire
from pipeline.v1.pipeline_pb2 import Batch
from pytest_pipeline.conformance.declaration import Declaration
from pytest_pipeline.invariance.case import passed
from pytest_pipeline.samples import sample
from pytest_pipeline.servers.handle import Server
from pytest_pipeline.streams import Cutting, Stream, numbered

T = TypeVar("T")

# How much later than asked for a wait may end before the machine is to blame.
_LATE_S = 1.0


class Violation(PipelineError):  # noqa: N818 - a verdict on a stage, no error of ours
    """A stage does what the contract forbids, or does not what it asks for."""


class HarnessFaultError(PipelineError):
    """The checking itself has gone wrong; nothing is said about the stage."""


@dataclass(frozen=True)
class Given:
    """A batch for the stage, and what this project's own function makes of it."""

    batch: Batch
    expected: Output[Any]


@dataclass(frozen=True)
class Ending:
    """What came until the end of a stream, and how it ended."""

    replies: list[Batch]
    code: grpc.StatusCode
    details: str

    @property
    def how(self) -> str:
        """The status, in words."""
        return f"{self.code.name}{': ' * bool(self.details)}{self.details}"


class Peer:
    """A stage that is being checked; it may take ``timeout_s`` to answer."""

    def __init__(
        self,
        server: Server,
        workload: Workload,
        stage: Stage[Any, Any],
        *,
        declaration: Declaration | None = None,
        timeout_s: float = 10.0,
        data: bytes | None = None,
    ) -> None:
        self.server = server
        self.workload = workload
        self.stage = stage
        self.declaration = declaration or Declaration()
        self.timeout_s = timeout_s
        self.data = data

    @cached_property
    def sample(self) -> Stream:
        """The sample records of the workload."""
        return sample(self.workload, self.data)

    @property
    def serves_workload(self) -> bool:
        """Whether the stage is declared to serve the workload, or nothing is."""
        workloads = self.declaration.workloads
        return workloads is None or self.workload.name in workloads

    def given(self, cutting: Cutting) -> list[Given]:
        """Return batches made of the sample records, numbered from 0.

        ``cutting`` has their sizes as ingest cuts them: to a later stage they come
        without what those before have filtered or rejected.
        """
        payloads = self.sample.payloads
        total = sum(cutting)
        if total > len(payloads):
            stream = numbered(islice(cycle(payloads), total))
        else:
            stream = Stream(payloads[:total])
        return self.batches_of(stream, cutting)

    def batches_of(self, stream: Stream, cutting: Cutting) -> list[Given]:
        """Return the batches of a stream as they come to the stage."""
        stages = self.workload.transforms
        before = stages[: stages.index(self.stage)]
        made = []
        first_record = 1
        for number, output in enumerate(stream.cut(cutting)):
            arriving = passed(before, output)
            batch = Batch(
                number=number, records=arriving.records, first_record=first_record
            )
            wire.pack(arriving.message, into=batch.payload)
            made.append(Given(batch, self.stage(arriving.message)))
            first_record += output.records
        return made

    @asynccontextmanager
    async def leg(
        self, *, deadline_s: float | None = None, options: Sequence[Any] = ()
    ) -> AsyncIterator[Leg]:
        """Open a stream to the stage, on a channel of its own."""
        async with self.server.aio_channel(options) as channel:
            leg = self.open(channel, deadline_s)
            try:
                yield leg
            finally:
                leg.cancel()

    def open(self, channel: grpc.aio.Channel, deadline_s: float | None = None) -> Leg:
        """Open a stream on a channel; whoever does so has to end it."""
        process: Any = channel.stream_stream(wire.PROCESS)
        return Leg(self, process(timeout=deadline_s))

    async def exchange(self, batches: Sequence[Batch | bytes]) -> Ending:
        """Send all batches, half-close, and return what comes until the end."""
        async with self.leg() as leg:
            sending = asyncio.create_task(leg.send_all(batches))
            try:
                return await leg.rest()
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    async def exchange_well(self, batches: Sequence[Batch | bytes]) -> list[Batch]:
        """Do so; raise Violation unless the stream ends with OK."""
        ending = await self.exchange(batches)
        if ending.code is not grpc.StatusCode.OK:
            raise Violation(
                f"{len(ending.replies)} of {len(batches)} batches were answered, and "
                f"then the stream ended with {ending.how}"
            )
        return ending.replies

    def content(self, reply: Batch) -> Output[Any]:
        """Return what a reply says; raise Violation where its payload is another."""
        try:
            message = wire.unpack(reply.payload, self.stage.returns)
        except wire.PayloadError as error:
            raise Violation(
                f"the payload of the reply to batch {reply.number}: the next stage "
                f"{error}"
            ) from None
        # A stage of a later contract may say more.
        message.DiscardUnknownFields()
        return Output(
            message,
            records=reply.records,
            filtered=reply.filtered,
            rejections=reply.rejections,
        )

    async def check_serving(self) -> None:
        """Raise Violation unless a new stream gets its answers."""
        given = self.given((3,))
        replies = await self.exchange_well([one.batch for one in given])
        if len(replies) != len(given):
            raise Violation(f"a new stream got {len(replies)} replies to one batch")


class Leg:
    """One stream to the stage. What crosses it is in the trace of the server."""

    def __init__(self, peer: Peer, call: Any) -> None:
        self._peer = peer
        self._call = call
        self._reading: asyncio.Task[Any] | None = None
        self.replies: list[Batch] = []

    async def send(self, batch: Batch | bytes) -> None:
        """Send a batch; raise Violation where the stage does not take it in time.

        Into a stream that has ended it goes unheard: `receive` and `rest` tell of that.
        """
        if not await self.try_send(batch, self._peer.timeout_s):
            raise Violation(
                f"takes in no more, though all its replies are read, for "
                f"{self._peer.timeout_s:g} s"
            )

    async def try_send(self, batch: Batch | bytes, timeout_s: float) -> bool:
        """Send a batch; return whether the stage has taken it in that time."""
        raw = batch if isinstance(batch, bytes) else batch.SerializeToString()
        if isinstance(batch, Batch):
            self._peer.server.trace.batch("", "to", batch, len(raw))
        return await self.within(timeout_s, self._write(raw))

    async def half_close(self) -> None:
        """Say that no batch follows."""
        await self._quietly(self._call.done_writing())

    async def send_all(self, batches: Sequence[Batch | bytes]) -> None:
        """Send all batches and half-close, however long it takes."""
        for batch in batches:
            raw = batch if isinstance(batch, bytes) else batch.SerializeToString()
            if isinstance(batch, Batch):
                self._peer.server.trace.batch("", "to", batch, len(raw))
            await self._write(raw)
        await self.half_close()

    async def receive(self) -> Batch:
        """Return the next reply; raise Violation where none comes in time."""
        reply = await self._next()
        if reply is None:
            ending = await self._ending()
            raise Violation(
                f"a reply was due, the {_nth(len(self.replies) + 1)}, but the stream "
                f"ended with {ending.how}"
            )
        return reply

    async def rest(self) -> Ending:
        """Return all replies and the status; raise Violation if it does not end."""
        while await self._next() is not None:
            pass
        return await self._ending()

    async def nothing_comes(self, seconds: float) -> bool:
        """Return whether neither a reply nor the end comes for so long."""
        task = self._read()
        return not (await asyncio.wait({task}, timeout=seconds))[0]

    def cancel(self) -> None:
        """Cancel the stream, if it has not ended."""
        self._call.cancel()

    async def _next(self) -> Batch | None:
        task = self._read()
        if not await self.within(self._peer.timeout_s, task):
            raise Violation(
                f"neither a reply nor the end of the stream has come for "
                f"{self._peer.timeout_s:g} s after {len(self.replies)} replies"
                f"{self._peer.server.ending and f': {self._peer.server.ending}'}"
            )
        self._reading = None
        raw = task.result()
        if raw is grpc.aio.EOF:
            return None
        try:
            reply = Batch.FromString(raw)
        except DecodeError:
            raise Violation(
                f"the {_nth(len(self.replies) + 1)} reply is no Batch"
            ) from None
        self._peer.server.trace.batch("", "from", reply, len(raw))
        self.replies.append(reply)
        return reply

    def _read(self) -> asyncio.Task[Any]:
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._read_one())
        return self._reading

    async def _read_one(self) -> Any:
        try:
            return await self._call.read()
        except (grpc.aio.AioRpcError, asyncio.CancelledError):
            return grpc.aio.EOF

    async def _write(self, raw: bytes) -> None:
        await self._quietly(self._call.write(raw))

    @staticmethod
    async def _quietly(operation: Coroutine[Any, Any, Any]) -> None:
        """Await an operation of a call that may have ended."""
        with contextlib.suppress(
            grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError
        ):
            await operation

    async def _ending(self) -> Ending:
        # There at once, or as soon as gRPC has worked off what came before.
        code, details = await self._call.code(), await self._call.details()
        return Ending(self.replies, code, details or "")

    @staticmethod
    async def within(seconds: float, what: Any) -> bool:
        """Wait so long for something; leave it going on where that does not do.

        Raises HarnessFaultError where it was the machine that stood still.
        """
        started = now()
        task = asyncio.ensure_future(what)
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if done:
            return True
        late = now() - started - seconds
        if late > _LATE_S:
            raise HarnessFaultError(
                f"this machine stood still: a wait of {seconds:g} s took {late:.1f} s "
                f"longer"
            )
        return False


def _nth(number: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    teen = number % 100 in (11, 12, 13)
    return f"{number}{'th' if teen else endings.get(number % 10, 'th')}"
