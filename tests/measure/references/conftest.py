"""Runs and servers for the tests of reference engines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from google.protobuf.message import Message

from pipeline.batching import BatchLimits
from pipeline.engines.base import RunSettings
from pipeline.transport.folders import ServedFolders
from pipeline.transport.server import StageServer
from pipeline.workload import Workload
from pipeline.workloads import workload_named
from pipeline.workloads.events.generate import generate_events
from pipeline.workloads.lines import line_source
from pipeline.workloads.mixed.source import mixed_source
from pipeline.workloads.work_items import work_item_source

EXAMPLE = Path(__file__).parents[3] / "examples" / "access_logs"

EACH_WORKLOAD = pytest.mark.parametrize(
    "workload", ["events", "work-items", "mixed", "access_logs:ACCESS_LOGS"]
)

SettingsOf = Callable[..., RunSettings]
Serve = Callable[[Workload], dict[str, str]]


@pytest.fixture
def settings_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SettingsOf:
    """Return the settings of a run of a workload on records of its kind."""
    # Makes the example importable here and in the processes that are started.
    monkeypatch.setattr(sys, "path", [*sys.path, str(EXAMPLE)])
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLE))

    def settings_of(workload: str, batch_size: int, records: int = 250) -> RunSettings:
        path = tmp_path / "events.ndjson"
        path.write_bytes(b"".join(generate_events(records, seed=1, malformed=0.05)))
        source: Message
        match workload:
            case "events":
                source = line_source(path)
            case "work-items":
                source = work_item_source(records, iterations=20)
            case "mixed":
                source = mixed_source(records, iterations=20)
            case _:
                path = EXAMPLE / "access.log"
                source = line_source(path)
        return RunSettings(
            workload=workload_named(workload),
            source=source,
            input=str(path),
            output=tmp_path / "result",
            rejects=tmp_path / "rejects",
            limits=BatchLimits(batch_size),
        )

    return settings_of


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serve all stages of a workload in this process, and return their addresses."""
    with ExitStack() as stack:
        served = 0

        def serve(workload: Workload) -> dict[str, str]:
            nonlocal served
            addresses = {}
            for stage in workload.stage_names:
                served += 1
                server = StageServer(
                    workload,
                    stage,
                    f"unix:{tmp_path}/{served}",
                    ServedFolders([tmp_path, EXAMPLE]),
                )
                stack.callback(server.stop_now)
                addresses[stage] = server.address
            return addresses

        yield serve
