"""Load on one stage alone: recorded messages, sent as fast as the stage takes them.

The orchestrator of a run takes its time for each batch, which hides how fast a stage
is. Here the messages are serialised before the clock starts, and replies are parsed
after it stops.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import grpc

from pipeline.accounting import StageAccount
from pipeline.batching import BatchLimits
from pipeline.clock import ProcessClock
from pipeline.errors import ConservationError
from pipeline.stages import INGEST, SINK
from pipeline.transport import wire
from pipeline.transport.workarounds import wait_for_calls
from pipeline.v1.pipeline_pb2 import (
    Batch,
    Commit,
    ReadRequest,
    Target,
    Timing,
    WriteRequest,
    WriteSummary,
)
from pytest_pipeline.measure.checked_runs import CheckedRuns
from pytest_pipeline.servers.handle import Server
from pytest_pipeline.servers.runs import split_engine

_METHODS = {INGEST: wire.READ, SINK: wire.WRITE}


@dataclass(frozen=True)
class Load:
    """What one stage is sent in a run, and what it must answer."""

    stage: str
    records: int
    #: Serialised messages, in order.
    requests: list[bytes]
    #: The payloads of its replies, in order; none of a sink.
    payloads: list[bytes]


@dataclass(frozen=True)
class LoadResult:
    """What a load took, and what the stage answered it with."""

    elapsed_s: float
    #: CPU seconds of the process that sent the load, and of the stage's.
    driver_cpu_s: float
    cpu_s: float
    #: The most memory that the stage's process ever had resident.
    peak_rss_bytes: int
    #: The number of its replies.
    replies: int


def loads_of(
    runs: CheckedRuns, servers: Iterable[Server], batch_size: int, records: int
) -> dict[str, Load]:
    """Record the messages of one run, by stage.

    Args:
        runs: Makes the run, and checks its result.
        servers: Of all stages.
        batch_size: Records of a batch.
        records: Of the run.

    Raises:
        PipelineError: The run fails, or its result is not that of the monolith.
    """
    names = runs.dataset.workload.stage_names
    requests: dict[str, list[bytes]] = {name: [] for name in names}
    payloads: dict[str, list[bytes]] = {name: [] for name in names}

    def record(
        stage: str, direction: Literal["to", "from"], batch: Batch, _size: int
    ) -> None:
        if direction == "from":
            payloads[stage].append(batch.payload.value)
        elif stage == SINK:
            requests[stage].append(WriteRequest(batch=batch).SerializeToString())
        else:
            requests[stage].append(batch.SerializeToString())

    report = runs.run(split_engine(servers, record), batch_size, records)
    limits = BatchLimits(records=batch_size)
    read = ReadRequest(
        batch_records=limits.records, batch_bytes=limits.bytes, max_records=records
    )
    wire.pack(runs.dataset.source(records), into=read.source)
    requests[INGEST].append(read.SerializeToString())
    commit = Commit(batches=report.batches, records=report.records.passed)
    requests[SINK].append(WriteRequest(commit=commit).SerializeToString())
    return {name: Load(name, records, requests[name], payloads[name]) for name in names}


def run_load(server: Server, load: Load) -> LoadResult:
    """Send a load to a server of its stage, and wait for the last reply.

    Raises:
        ConservationError: The stage answered something else.
        grpc.aio.AioRpcError: The call failed.
    """
    requests = list(load.requests)
    if load.stage == SINK and server.folder is not None:
        path = str(server.folder / "written-under-load")
        target = WriteRequest(target=Target(path=path))
        requests.insert(0, target.SerializeToString())
    return asyncio.run(_run_load(server, load, requests))


async def _run_load(
    server: Server, load: Load, requests: Sequence[bytes]
) -> LoadResult:
    async with server.aio_channel() as channel:
        await channel.channel_ready()
        began, cpu = time.perf_counter(), ProcessClock()
        # On the wire, calls with a single request or reply are like all others.
        method: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = (
            channel.stream_stream(_METHODS.get(load.stage, wire.PROCESS))
        )
        call = method()
        sending = asyncio.create_task(_send(call, requests))
        replies = [raw async for raw in call]
        elapsed_s, driver_cpu_s = time.perf_counter() - began, cpu.lap() / 1e9
        await sending
        account = StageAccount()
        for key, value in await call.trailing_metadata():
            if key == wire.TIMING_KEY and isinstance(value, bytes):
                account.spend(Timing.FromString(value))
    await wait_for_calls()
    if load.stage == SINK:
        account.spend(WriteSummary.FromString(replies[0]).timing)
    else:
        batches = [Batch.FromString(raw) for raw in replies]
        for batch in batches:
            account.spend(batch.timing)
        if load.payloads != [batch.payload.value for batch in batches]:
            raise ConservationError(
                f"{server}: under load it answers otherwise than in the run that was "
                f"recorded"
            )
    spent = account.report()
    return LoadResult(
        elapsed_s, driver_cpu_s, spent.cpu_s, spent.peak_rss_bytes, len(replies)
    )


async def _send(
    call: grpc.aio.StreamStreamCall[bytes, bytes], requests: Iterable[bytes]
) -> None:
    for request in requests:
        await call.write(request)
    await call.done_writing()
