"""Load on one stage alone: it is sent what it is sent in a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import ConservationError
from pipeline.v1.pipeline_pb2 import Batch
from pipeline.workloads import workload_named
from pytest_pipeline.measure.checked_runs import CheckedRuns
from pytest_pipeline.measure.dataset import dataset_of
from pytest_pipeline.measure.references.load import Load, loads_of, run_load
from pytest_pipeline.options import PipelineSettings
from pytest_pipeline.servers.handle import Server
from pytest_pipeline.servers.pool import ServerPool
from pytest_pipeline.servers.specification import stage_specs

EVENTS = workload_named("events")
STAGES = EVENTS.stage_names
RECORDS, BATCH_SIZE = 95, 10
BATCHES = 10


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[dict[str, Server]]:
    """A server of each stage of events, in this process."""
    pool = ServerPool(tmp_path)
    specs = stage_specs(PipelineSettings(), EVENTS)
    yield {server.name: server for server in pool.shared(specs)}
    pool.close()


@pytest.fixture
def loads(tmp_path: Path, servers: dict[str, Server]) -> dict[str, Load]:
    """What each stage is sent in one run."""
    runs = CheckedRuns(dataset_of(EVENTS, tmp_path), tmp_path)
    return loads_of(runs, servers.values(), BATCH_SIZE, RECORDS)


def test_a_load_has_all_batches_of_the_run(loads: dict[str, Load]) -> None:
    """Ingest is sent one request, and the sink a commit after the batches."""
    requests = {stage: len(load.requests) for stage, load in loads.items()}

    assert requests == {
        "ingest": 1,
        **dict.fromkeys(("parse", "rules", "aggregate"), BATCHES),
        "sink": BATCHES + 1,
    }
    arriving = [Batch.FromString(raw) for raw in loads["rules"].requests]
    assert [batch.payload.value for batch in arriving] == loads["parse"].payloads


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_under_load_is_accounted_for(
    servers: dict[str, Server], loads: dict[str, Load], stage: str
) -> None:
    """Its replies, CPU time and memory are counted, without a run."""
    result = run_load(servers[stage], loads[stage])

    assert result.replies == (1 if stage == "sink" else BATCHES)
    assert result.cpu_s > 0
    assert result.peak_rss_bytes > 2**20


def test_the_sink_publishes_under_load(
    servers: dict[str, Server], loads: dict[str, Load], tmp_path: Path
) -> None:
    """The result is that of the run."""
    run_load(servers["sink"], loads["sink"])

    written = (tmp_path / "written-under-load").read_bytes()
    assert written == (tmp_path / "result").read_bytes()


def test_a_stage_must_answer_what_it_answered_in_the_run(
    servers: dict[str, Server], loads: dict[str, Load]
) -> None:
    """A stage that leaves out work would be faster."""
    load = replace(loads["parse"], payloads=loads["rules"].payloads)

    with pytest.raises(ConservationError, match="under load it answers otherwise"):
        run_load(servers["parse"], load)
