"""A sink under test, and the runs that it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from pipeline.transport import wire
from pipeline.v1.pipeline_pb2 import (
    Batch,
    Commit,
    Target,
    WriteRequest,
    WriteSummary,
)
from pytest_pipeline.conformance.checked_call import EndedCall
from pytest_pipeline.conformance.errors import Violation
from pytest_pipeline.conformance.stage_under_test import StageUnderTest
from pytest_pipeline.invariance.partitioned_stream import PartitionedStream
from pytest_pipeline.records.streams import Partition, Stream

Step = WriteRequest | bytes

# How often to look for a sign that a sink has begun, and the seconds between.
_POLLS = 100
_POLL_S = 0.01


def target(path: Path | str) -> WriteRequest:
    """Return the first step of a run."""
    return WriteRequest(target=Target(path=str(path)))


@dataclass(frozen=True)
class SinkRun:
    """The batches that a sink is sent in a run, and the result that it must publish."""

    batches: tuple[Batch, ...]
    #: Records in the result.
    records: int
    result: bytes

    @property
    def writes(self) -> list[WriteRequest]:
        """The steps of the batches."""
        return [WriteRequest(batch=batch) for batch in self.batches]

    def commit(self, *, batches: int = 0, records: int = 0) -> WriteRequest:
        """Return the last step, with so many batches and records too many."""
        return WriteRequest(
            commit=Commit(
                batches=len(self.batches) + batches, records=self.records + records
            )
        )

    def steps(self, path: Path | str) -> list[WriteRequest]:
        """Return all steps of the run."""
        return [target(path), *self.writes, self.commit()]


class SinkUnderTest(StageUnderTest[WriteSummary]):
    """A sink that is checked against the contract.

    It must publish what the accumulator of the workload makes in this process.
    """

    kind = "sink"
    service = wire.SINK_SERVICE
    method = wire.WRITE
    most_replies = 100
    reply_type = WriteSummary

    def run(self, partition: Partition) -> SinkRun:
        """Return a run of the sample records; ``partition`` has sizes at ingest."""
        return self.run_of(self.sample, partition)

    def run_of(self, stream: Stream, partition: Partition) -> SinkRun:
        """Return a run of a stream, as the stages before the sink pass it on."""
        partitioned = PartitionedStream(self.workload, stream, partition)
        arriving = partitioned.outputs(self.workload.transforms)
        accumulator = self.workload.new_result()
        written = [accumulator.add(output.message) for output in arriving]
        first_records = [1]
        for output in stream.cut(partition):
            first_records.append(first_records[-1] + output.records)
        batches = []
        for number, output in enumerate(arriving):
            batch = Batch(
                number=number,
                records=output.records,
                first_record=first_records[number],
            )
            wire.pack(output.message, into=batch.payload)
            batches.append(batch)
        return SinkRun(
            tuple(batches),
            accumulator.records,
            b"".join(written) + accumulator.finish(),
        )

    @contextmanager
    def result_path(self) -> Iterator[Path]:
        """Return the path for a result, in an empty folder that the sink serves."""
        with self.scratch() as folder:
            yield folder / "result.ndjson"

    async def write(self, steps: Sequence[Step]) -> EndedCall[WriteSummary]:
        """Send all steps, half-close, and read to the end of the stream."""
        async with self.call() as call:
            call.start_to_send(steps)
            return await call.rest()

    async def write_well(self, steps: Sequence[Step]) -> WriteSummary:
        """Return the summary of `write`; raise Violation unless it ends with OK."""
        return summary_of(await self.write(steps))

    async def work_around(self, midway: Callable[[], Awaitable[None]]) -> str:
        """Write a batch before, and another one and the commit after."""
        run = self.run((4,))
        first, *others = run.writes
        with self.result_path() as path:
            async with self.call() as call:
                await call.send(target(path))
                await call.send(first)
                await begun(path)
                await midway()
                for step in (*others, run.commit()):
                    await call.send(step)
                await call.half_close()
                ended = await call.rest()
            if ended.code is not grpc.StatusCode.OK:
                return f"it ended the stream with {ended.status}"
            if content_at(path) != run.result:
                return "it did not publish the result"
        return ""

    async def check_serving(self) -> None:
        """Raise Violation unless a new run is published."""
        run = self.run((3,))
        with self.result_path() as path:
            await self.write_well(run.steps(path))
            if content_at(path) != run.result:
                raise Violation("a new run was committed, and is not published")


async def begun(path: Path, before: int = 0) -> None:
    """Wait until a sink works on a run: until there is a draft beside the target.

    Nothing answers a run before its end, and a sink need not have a draft that is seen,
    so this waits a second at most.

    Args:
        path: the target, in a folder of its own.
        before: how many files are in that folder before the run.
    """
    for _ in range(_POLLS):
        if len(list(path.parent.iterdir())) > before:
            return
        await asyncio.sleep(_POLL_S)


def summary_of(ended: EndedCall[WriteSummary]) -> WriteSummary:
    """Return the summary of a run; raise Violation unless it ended with OK."""
    if ended.code is not grpc.StatusCode.OK or len(ended.replies) != 1:
        raise Violation(
            f"a whole run got {len(ended.replies)} summaries, and ended with "
            f"{ended.status}"
        )
    return ended.replies[0]


def content_at(path: Path) -> bytes | None:
    """Return the bytes of a file; None if there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
