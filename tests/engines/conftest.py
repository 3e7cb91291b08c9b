"""What the tests of the engines share."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from pipeline.batching import BatchLimits
from pipeline.engines.base import RunSettings
from pipeline.engines.calls import OnMessage
from pipeline.transport import wire
from pipeline.transport.folders import ServedFolders
from pipeline.transport.processes import StageServers
from pipeline.transport.server import StageServer
from pipeline.v1.pipeline_pb2 import Batch
from pipeline.workloads import workload_named
from pipeline.workloads.events import EVENTS
from pipeline.workloads.lines import line_source
from tests.engines.resuming import EVENT_LINES, EXAMPLE, NewRun

Process = Callable[[Iterator[Batch], grpc.ServicerContext], Iterator[Batch]]
FakeStage = Callable[[Process], str]
Lose = Callable[[str, signal.Signals], None]


class SettingsFor(Protocol):
    """Makes the settings of a run over some input."""

    def __call__(self, data: bytes, batch_size: int = 1, **changes: Any) -> RunSettings:
        """Write ``data`` to the input file and describe a run over it."""


@pytest.fixture
def settings_for(tmp_path: Path) -> SettingsFor:
    """Settings of runs whose files are all in ``tmp_path``."""

    def settings_for(data: bytes, batch_size: int = 1, **changes: Any) -> RunSettings:
        path = tmp_path / "in.ndjson"
        path.write_bytes(data)
        settings = RunSettings(
            workload=EVENTS,
            source=line_source(path),
            input=str(path),
            output=tmp_path / "out.ndjson",
            rejects=tmp_path / "rejects.ndjson",
            limits=BatchLimits(batch_size),
        )
        return replace(settings, **changes)

    return settings_for


@pytest.fixture
def addresses(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The five stages, served by this process from unix sockets."""
    servers = {
        stage: StageServer(
            EVENTS, stage, f"unix:{tmp_path}/{stage}", ServedFolders([tmp_path])
        )
        for stage in EVENTS.stage_names
    }
    yield {stage: server.address for stage, server in servers.items()}
    for server in servers.values():
        server.stop_now()


@pytest.fixture
def fake_stage(tmp_path: Path) -> Iterator[FakeStage]:
    """Serve any function as `Stage.Process`; returns its address."""
    servers: list[grpc.Server] = []

    def fake_stage(process: Process) -> str:
        server = grpc.server(ThreadPoolExecutor(), options=wire.OPTIONS)
        handler = grpc.stream_stream_rpc_method_handler(
            process,
            request_deserializer=Batch.FromString,
            response_serializer=Batch.SerializeToString,
        )
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    wire.STAGE_SERVICE, {"Process": handler}
                ),
            )
        )
        servicer = health.HealthServicer()
        servicer.set("", health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        address = f"unix:{tmp_path}/fake{len(servers)}"
        server.add_insecure_port(address)
        server.start()
        servers.append(server)
        return address

    yield fake_stage
    for server in servers:
        server.stop(None)


@pytest.fixture
def new_run(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> NewRun:
    """Describe runs of about 120 records, each with files of its own."""
    monkeypatch.syspath_prepend(EXAMPLE)

    def new_run(name: str, **changes: Any) -> RunSettings:
        folder = tmp_path_factory.mktemp("run")
        workload, path = workload_named(name), folder / "in"
        if name == "events":
            path.write_bytes(EVENT_LINES)
        elif name.startswith("access_logs"):
            log = (EXAMPLE / "access.log").read_bytes().splitlines(keepends=True)
            path.write_bytes(b"".join(log[:60]) + b"no request\n" * 60)
        if path.exists():
            source = workload.source.describe(path=path)
        else:
            source = workload.source.describe(
                records=120, iterations=3, payload_size="small"
            )
        run = RunSettings(
            workload,
            source,
            str(path) if path.exists() else "",
            output=folder / "out",
            rejects=folder / "rejects",
            limits=BatchLimits(7),
            checkpoint=folder / "checkpoint",
            checkpoint_batches=4,
        )
        return replace(run, **changes)

    return new_run


@pytest.fixture
def lose(monkeypatch: pytest.MonkeyPatch) -> Lose:
    """Signals the first server of a stage that the engine has started."""
    started: list[StageServers] = []
    init = StageServers.__init__

    def note(self: StageServers, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        started.append(self)

    def lose(stage: str, number: signal.Signals) -> None:
        process = next(each for each in started[-1].processes if each.stage == stage)
        # It may be gone, while another is started in its place.
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)

    monkeypatch.setattr(StageServers, "__init__", note)
    return lose


def files(settings: RunSettings) -> tuple[bytes, bytes]:
    """Return the result and the rejects."""
    assert settings.rejects is not None
    return settings.output.read_bytes(), settings.rejects.read_bytes()


def struck(lose: Lose, stage: str, number: signal.Signals, *batches: int) -> OnMessage:
    """Return what signals a server when each of ``batches`` crosses its leg.

    A transform stage has not answered the batch then, and ingest can't have sent many
    after it. So, unlike at a settled batch, the server is never through already.
    """
    due = deque(batches)

    def strike(crossed: str, _: object, batch: Batch, __: int) -> None:
        if due and (crossed, batch.number) == (stage, due[0]):
            due.popleft()
            lose(stage, number)

    return strike
