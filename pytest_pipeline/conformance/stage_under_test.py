"""The stage under test: how checks reach it, and the batches that they send."""

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
from pytest_pipeline.conformance.checked_call import CheckedCall, EndedCall
from pytest_pipeline.conformance.declaration import Declaration
from pytest_pipeline.conformance.errors import Violation
from pytest_pipeline.invariance.partitioned_stream import passed
from pytest_pipeline.records.samples import sample
from pytest_pipeline.records.streams import Partition, Stream, numbered
from pytest_pipeline.servers.handle import Server


@dataclass(frozen=True)
class Request:
    """A batch to send, and the output of the workload's own function for it."""

    batch: Batch
    expected: Output[Any]

    def renumbered(self, number: int) -> Batch:
        """Return a copy of the batch with another number."""
        batch = self.copy()
        batch.number = number
        return batch

    def copy(self) -> Batch:
        """Return a copy of the batch, which may be changed."""
        batch = Batch()
        batch.CopyFrom(self.batch)
        return batch


class StageUnderTest:
    """A stage that is checked against the contract.

    Args:
        server: the server of the stage.
        workload: the workload that it is checked with.
        function: the transform of that workload that the stage must equal.
        declaration: what the stage declares; nothing by default.
        timeout_s: seconds that the stage may take to answer.
        data: the input of a workload that reads one.

    Example::

        workload = workload_named("events")
        stage = StageUnderTest(server, workload, workload.transform("parse"))
        verdict = judge(CHECKS["reply.one-each"], stage)
    """

    def __init__(
        self,
        server: Server,
        workload: Workload,
        function: Stage[Any, Any],
        *,
        declaration: Declaration | None = None,
        timeout_s: float = 10.0,
        data: bytes | None = None,
    ) -> None:
        self.server = server
        self.workload = workload
        self.function = function
        self.declaration = declaration or Declaration()
        self.timeout_s = timeout_s
        self.data = data

    @cached_property
    def sample(self) -> Stream:
        """The sample records of the workload."""
        return sample(self.workload, self.data)

    @property
    def serves_workload(self) -> bool:
        """Whether the declaration names the workload, or names none at all."""
        workloads = self.declaration.workloads
        return workloads is None or self.workload.name in workloads

    def requests(self, partition: Partition) -> list[Request]:
        """Return batches of the sample records, numbered from 0.

        ``partition`` has their sizes at ingest. A later stage gets fewer records, since
        the stages before it filter and reject some.
        """
        payloads = self.sample.payloads
        total = sum(partition)
        if total > len(payloads):
            stream = numbered(islice(cycle(payloads), total))
        else:
            stream = Stream(payloads[:total])
        return self.requests_of(stream, partition)

    def requests_of(self, stream: Stream, partition: Partition) -> list[Request]:
        """Return the batches of a stream as the stages before this one pass them on."""
        stages = self.workload.transforms
        before = stages[: stages.index(self.function)]
        made = []
        first_record = 1
        for number, output in enumerate(stream.cut(partition)):
            arriving = passed(before, output)
            batch = Batch(
                number=number, records=arriving.records, first_record=first_record
            )
            wire.pack(arriving.message, into=batch.payload)
            made.append(Request(batch, self.function(arriving.message)))
            first_record += output.records
        return made

    @asynccontextmanager
    async def call(
        self, *, deadline_s: float | None = None, options: Sequence[Any] = ()
    ) -> AsyncIterator[CheckedCall]:
        """Open a call on a channel of its own, and end it with the context."""
        async with self.server.aio_channel(options) as channel:
            call = self.open(channel, deadline_s)
            try:
                yield call
            finally:
                await call.give_up()

    def open(
        self, channel: grpc.aio.Channel, deadline_s: float | None = None
    ) -> CheckedCall:
        """Open a call on a channel; the caller must `give_up` the call."""
        process: Any = channel.stream_stream(wire.PROCESS)
        return CheckedCall(self.server, process(timeout=deadline_s), self.timeout_s)

    async def exchange(self, batches: Sequence[Batch | bytes]) -> EndedCall:
        """Send all batches, half-close, and read to the end of the stream."""
        async with self.call() as call:
            call.start_to_send(batches)
            return await call.rest()

    async def exchange_well(self, batches: Sequence[Batch | bytes]) -> list[Batch]:
        """Return the replies of `exchange`; raise Violation unless it ends with OK."""
        ended = await self.exchange(batches)
        if ended.code is not grpc.StatusCode.OK:
            raise Violation(
                f"{len(ended.replies)} of {len(batches)} batches were answered, and "
                f"then the stream ended with {ended.status}"
            )
        return ended.replies

    def content(self, reply: Batch) -> Output[Any]:
        """Decode a reply; raise Violation unless its payload is for the next stage."""
        try:
            message = wire.unpack(reply.payload, self.function.returns)
        except wire.PayloadError as error:
            raise Violation(
                f"the payload of the reply to batch {reply.number}: the next stage "
                f"{error}"
            ) from None
        # A stage that implements a later contract may send more fields.
        message.DiscardUnknownFields()
        return Output(
            message,
            records=reply.records,
            filtered=reply.filtered,
            rejections=reply.rejections,
        )

    async def check_serving(self) -> None:
        """Raise Violation unless the stage answers a new stream."""
        requests = self.requests((3,))
        replies = await self.exchange_well([one.batch for one in requests])
        if len(replies) != len(requests):
            raise Violation(f"a new stream got {len(replies)} replies to one batch")
