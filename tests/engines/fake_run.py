"""Runs of the orchestrator on servers that are functions of this process."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from pipeline.accounting import RunAccount
from pipeline.engines.base import RunSettings
from pipeline.engines.legs import InFlightBatch, IngestLeg, SinkLeg, TransformLeg
from pipeline.engines.poison import Poison
from pipeline.engines.recovery import RecoveringLeg, Recovery
from pipeline.engines.relay import relay_all
from pipeline.engines.replicas import Replicas
from pipeline.engines.window import WindowLimits
from pipeline.errors import LostStageError
from pipeline.inputs import Inputs
from pipeline.rejects import RejectsFile
from pipeline.stages import Stage
from pipeline.transport import wire
from pipeline.v1.pipeline_pb2 import Batch
from pipeline.workload import Workload


class DiedError(Exception):
    """The process of a stage function ends."""


class FakeIngest:
    """Sends the batches of a source, as `IngestLeg` does."""

    def __init__(self, run: RunSettings, account: RunAccount) -> None:
        self._outputs = run.workload.source.read(
            run.source, run.fixed_limits, run.max_records, Inputs()
        )
        self._account = account

    async def receive(self) -> InFlightBatch | None:
        """Return the next batch; None at the end."""
        output = next(self._outputs, None)
        if output is None:
            return None
        message = Batch(number=self._account.batches, records=output.records)
        message.first_record = self._account.ingested + 1
        wire.pack(output.message, into=message.payload)
        batch = InFlightBatch(message, message.first_record, output.records)
        self._account.ingest(output.records)
        return batch


class FakeServer:
    """Calls a stage function, and is lost if that ends it, as `TransformLeg` says."""

    def __init__(self, stage: Stage[Any, Any], sizes: list[int]) -> None:
        self._stage = stage
        self._sizes = sizes
        self._requests: asyncio.Queue[InFlightBatch | None] = asyncio.Queue()
        self._unanswered: deque[InFlightBatch] = deque()

    @property
    def unanswered(self) -> int:
        """Batches without a reply."""
        return len(self._unanswered)

    def take_unanswered(self) -> deque[InFlightBatch]:
        """Return the batches without a reply."""
        taken, self._unanswered = self._unanswered, deque()
        return taken

    async def send(self, batch: InFlightBatch, raw: bytes) -> None:
        """Take a batch."""
        assert raw == batch.message.SerializeToString()
        self._unanswered.append(batch)
        self._requests.put_nowait(batch)

    async def close(self) -> None:
        """Take no more."""
        self._requests.put_nowait(None)

    async def receive(self) -> InFlightBatch | None:
        """Return the next answer."""
        batch = await self._requests.get()
        if batch is None:
            return None
        request = batch.message
        payload = wire.unpack(request.payload, self._stage.takes)
        try:
            output = self._stage(payload)
        except DiedError:
            self._sizes.append(request.records)
            raise LostStageError(f"stage {self._stage.name} is lost: it died") from None
        self._unanswered.popleft()
        reply = Batch(
            number=request.number,
            records=output.records,
            filtered=output.filtered,
            rejections=output.rejections,
        )
        wire.pack(output.message, into=reply.payload)
        batch.arrive(self._stage.name, reply)
        return batch


class FakeSink:
    """Adds batches to a result, and settles them."""

    def __init__(self, workload: Workload, account: RunAccount) -> None:
        self.result = workload.new_result()
        self.batches = 0
        #: How many batches of ingest have passed whole.
        self.credits = 0
        self._takes = workload.result_takes
        self._account = account

    async def send(self, batch: InFlightBatch) -> None:
        """Add the next batch."""
        assert batch.message.number == self.batches
        assert batch.first_record == self._account.settled + 1
        self.batches += 1
        self.credits += batch.is_last
        self.result.add(wire.unpack(batch.message.payload, self._takes))
        self._account.settle(batch.message.records, batch.filtered, batch.rejections)
        assert self._account.settled == batch.first_record + batch.ingested - 1

    async def close(self) -> None:
        """Do nothing."""


@dataclass
class Played:
    """What came of a run on fake servers."""

    account: RunAccount
    result: bytes
    #: The records of each batch that has ended a server.
    deaths: list[int]


async def no_sleep(_: float) -> None:
    """Let others run."""
    await asyncio.sleep(0)


def play(run: RunSettings, max_poison: int, replicas: int = 1) -> Played:
    """Run a workload on servers that are functions of this process."""
    assert run.rejects is not None
    workload, deaths = run.workload, list[int]()
    with RejectsFile(run.rejects) as rejects:
        account = RunAccount(workload.stage_names, rejects)
        poison = Poison(workload, account, max_poison)

        def leg(stage: Stage[Any, Any]) -> RecoveringLeg:
            async def reopen(_: int | None, __: str) -> TransformLeg:
                return cast("TransformLeg", FakeServer(stage, deaths))

            return RecoveringLeg(
                cast("TransformLeg", FakeServer(stage, deaths)),
                reopen,
                Recovery().retries,
                no_sleep,
                partial(poison.search, stage.name),
            )

        transforms = [
            Replicas([leg(stage) for _ in range(replicas)], WindowLimits(4))
            for stage in workload.transforms
        ]
        sink = FakeSink(workload, account)

        async def drive() -> None:
            ingest = cast("IngestLeg", FakeIngest(run, account))
            async with asyncio.timeout(30):
                await relay_all(ingest, transforms, cast("SinkLeg", sink))

        asyncio.run(drive())
        assert sink.batches == account.batches + sum(each.added for each in transforms)
        assert sink.credits == account.batches
        account.check_conservation()
        rejects.prepare()
        rejects.publish()
    return Played(account, sink.result.finish(), deaths)
