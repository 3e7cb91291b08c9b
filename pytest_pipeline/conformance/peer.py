"""The stage under test, and what it is given.

Whatever a stage does wrong raises Violation; any other exception is a fault of ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle, islice
from typing import Any

import grpc

from pipeline.stages import Output, Stage
from pipeline.transport import wire
from pipeline.v1.pipeline_pb2 import Batch
from pipeline.workload import Workload
from pytest_pipeline.conformance.declaration import Declaration
from pytest_pipeline.conformance.leg import Ending, Leg, Violation
from pytest_pipeline.invariance.case import passed
from pytest_pipeline.records.samples import sample
from pytest_pipeline.records.streams import Cutting, Stream, numbered
from pytest_pipeline.servers.handle import Server


@dataclass(frozen=True)
class Given:
    """A batch for the stage, and what this project's own function makes of it."""

    batch: Batch
    expected: Output[Any]

    def renumbered(self, number: int) -> Batch:
        """Return the batch with another number."""
        batch = self.copy()
        batch.number = number
        return batch

    def copy(self) -> Batch:
        """Return the batch, to be changed."""
        batch = Batch()
        batch.CopyFrom(self.batch)
        return batch


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
                await leg.give_up()

    def open(self, channel: grpc.aio.Channel, deadline_s: float | None = None) -> Leg:
        """Open a stream on a channel; whoever does so has to give it up."""
        process: Any = channel.stream_stream(wire.PROCESS)
        return Leg(self.server, process(timeout=deadline_s), self.timeout_s)

    async def exchange(self, batches: Sequence[Batch | bytes]) -> Ending:
        """Send all batches, half-close, and return what comes until the end."""
        async with self.leg() as leg:
            leg.start_to_send(batches)
            return await leg.rest()

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
