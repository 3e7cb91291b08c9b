"""A transform stage under test, and the batches that checks send to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle, islice
from typing import Any

import grpc

from pipeline.stages import Output, Stage
from pipeline.transport import wire
from pipeline.v1.pipeline_pb2 import Batch
from pytest_pipeline.conformance.checked_call import EndedCall
from pytest_pipeline.conformance.errors import Violation
from pytest_pipeline.conformance.stage_under_test import StageUnderTest, content_of
from pytest_pipeline.invariance.partitioned_stream import passed
from pytest_pipeline.records.streams import Partition, Stream, numbered


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


class TransformUnderTest(StageUnderTest[Batch]):
    """A transform stage that is checked against the contract."""

    kind = "transform"
    service = wire.STAGE_SERVICE
    method = wire.PROCESS
    most_replies = 100
    reply_type = Batch

    @cached_property
    def function(self) -> Stage[Any, Any]:
        """The transform of the workload that the stage must equal."""
        return self.workload.transform(self.name)

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

    async def exchange(self, batches: Sequence[Batch | bytes]) -> EndedCall[Batch]:
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
        what = f"the reply to batch {reply.number}"
        return content_of(reply, self.function.returns, what)

    async def work_around(self, midway: Callable[[], Awaitable[None]]) -> str:
        """Exchange a batch before, and another one after."""
        requests = self.requests((4, 4))
        async with self.call() as call:
            await call.send(requests[0].batch)
            await call.receive()
            await midway()
            await call.send(requests[1].batch)
            await call.half_close()
            ended = await call.rest()
        if ended.code is grpc.StatusCode.OK and len(ended.replies) == 2:
            return ""
        return (
            f"it answered {len(ended.replies)} of 2 batches and ended the stream with "
            f"{ended.status}"
        )

    async def check_serving(self) -> None:
        """Raise Violation unless the stage answers a new stream."""
        requests = self.requests((3,))
        replies = await self.exchange_well([one.batch for one in requests])
        if len(replies) != len(requests):
            raise Violation(f"a new stream got {len(replies)} replies to one batch")
