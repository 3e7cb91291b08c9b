"""The benchmarks of this project's gate: stage functions, the monolith, the split.

    pytest benchmarks/gate --pipeline-gate-against main

These are plain tests of pytest-benchmark, so that every revision can run its own. A
call takes a few milliseconds, one of the split about ten.
"""

# ruff: noqa: D401, S101 - a fixture is named by what it is, and tests assert

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from pytest_benchmark.fixture import BenchmarkFixture

from pipeline.batching import BatchLimits
from pipeline.engines.base import Engine, RunSettings
from pipeline.engines.monolith import MonolithEngine
from pipeline.engines.split import SplitEngine
from pipeline.source import Opener
from pipeline.transport.environment import configure_process
from pipeline.transport.processes import StageServers
from pipeline.workload import Workload
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.generate import generate_events
from pipeline.workloads.lines import line_source
from pipeline.workloads.work_items import WORK_ITEMS, work_item_source

STAGES = ("parse", "rules", "aggregate")

# Before gRPC starts, as the command line does.
configure_process()


class _Files:
    """Opens any file."""

    def open(self, path: str) -> Any:
        return Path(path).open("rb")


@pytest.fixture(scope="session")
def events() -> Iterator[Path]:
    """A file of ten thousand events, with room for results beside it."""
    # In memory if possible: the times of a shared disk vary.
    shared = Path("/dev/shm")  # noqa: S108 - a folder of its own is made there
    with tempfile.TemporaryDirectory(
        prefix="pipeline-gate-", dir=shared if os.access(shared, os.W_OK) else None
    ) as folder:
        path = Path(folder).resolve() / "events.ndjson"
        with path.open("wb") as file:
            file.writelines(generate_events(10_000, seed=1, users=1000))
        yield path


@pytest.fixture(scope="session")
def servers(events: Path) -> Iterator[SplitEngine]:
    """The split, with servers in their own processes."""
    folders = {"ingest": [events.parent], "sink": [events.parent]}
    with StageServers(EVENTS.name, EVENTS.stage_names, folders=folders) as started:
        yield SplitEngine(started.addresses)


def _first_batch(workload: Workload, source: Message, records: int) -> Message:
    limits = BatchLimits(records=records)
    files: Opener = _Files()
    batch: Message = next(workload.source.read(source, limits, records, files)).message
    return batch


def _measure_stage(
    benchmark: BenchmarkFixture,
    workload: Workload,
    stage: str,
    message: Message,
    times: int,
) -> None:
    """Measure a stage function on a message that the earlier stages made."""
    for before in workload.transforms:
        if before.name == stage:
            break
        message = before(message).message
    function: Callable[[Any], Any] = workload.transform(stage).function

    def calls() -> Any:
        for _ in range(times):
            output = function(message)
        return output

    assert benchmark(calls).records > 0


@pytest.mark.parametrize("records", [100, 1000])
@pytest.mark.parametrize("stage", STAGES)
def test_stage_of_events(
    benchmark: BenchmarkFixture, events: Path, stage: str, records: int
) -> None:
    """A stage function on a batch of events."""
    message = _first_batch(EVENTS, line_source(events), records)
    _measure_stage(benchmark, EVENTS, stage, message, 2000 // records)


@pytest.mark.parametrize("stage", STAGES)
def test_stage_of_work_items(benchmark: BenchmarkFixture, stage: str) -> None:
    """A stage function on a batch of work items."""
    source = work_item_source(records=20, iterations=50)
    message = _first_batch(WORK_ITEMS, source, 20)
    _measure_stage(benchmark, WORK_ITEMS, stage, message, 5)


def _run(engine: Engine, events: Path, records: int, batch_size: int) -> int:
    settings = RunSettings(
        workload=EVENTS,
        source=line_source(events),
        input=str(events),
        output=events.with_name("result.ndjson"),
        limits=BatchLimits(records=batch_size),
        max_records=records,
    )
    return engine.run(settings).records.ingested


# A run opens, writes and renames files, so times vary more.
@pytest.mark.pipeline_gate(threshold=0.1)
@pytest.mark.parametrize(("batch_size", "records"), [(1, 100), (1000, 2000)])
def test_monolith(
    benchmark: BenchmarkFixture, events: Path, batch_size: int, records: int
) -> None:
    """A run of events in one process."""
    run = partial(_run, MonolithEngine(), events, records, batch_size)
    assert benchmark(run) == records


# A run waits for other processes, so times vary more.
@pytest.mark.pipeline_gate(threshold=0.15)
@pytest.mark.parametrize(("batch_size", "records"), [(1, 50), (100, 5000)])
def test_split(
    benchmark: BenchmarkFixture,
    events: Path,
    servers: SplitEngine,
    batch_size: int,
    records: int,
) -> None:
    """A run of events on stage servers."""
    run = partial(_run, servers, events, records, batch_size)
    assert benchmark(run) == records
