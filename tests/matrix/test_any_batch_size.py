"""A run is right at any batch size, wherever its servers are.

The environments ``batch1`` to ``batch1000`` and ``batchauto`` of tox run this at one
size each, on each version of Python and of the dependencies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from pipeline.batching import AUTO, BatchSize
from pipeline.engines.window import WindowLimits
from pipeline.errors import StageError
from pipeline.stages import INGEST, SINK
from pipeline.workload import Workload
from pipeline.workloads.events.generate import generate_events
from pytest_pipeline.invariance import PartitionedStream, SplitStages
from pytest_pipeline.records.samples import sample
from pytest_pipeline.servers.handle import Server
from pytest_pipeline.servers.runs import PipelineRun, PipelineRunner

WORKLOADS = ("events", "work-items", "mixed")

every_workload = pytest.mark.pipeline(workload=WORKLOADS)


def records_for(batch_size: BatchSize) -> int:
    """Return enough records for three batches, the last of which is not full."""
    return max(101, 2 * (0 if batch_size == AUTO else batch_size) + 1)


def are_batches_of(batches: int, records: int, batch_size: BatchSize) -> bool:
    """Return whether so many records may be in so many batches."""
    if batch_size == AUTO:
        return 1 < batches <= records
    return batches == math.ceil(records / batch_size)


def what_runs(workload: Workload, batch_size: BatchSize) -> dict[str, Any]:
    """Return the records of a run: of events, one in ten is to be refused."""
    records = records_for(batch_size)
    if workload.name == "events":
        return {"data": b"".join(generate_events(records, users=9, malformed=0.1))}
    return {"records": records, "iterations": 3}


def check(
    run_pipeline: PipelineRunner,
    workload: Workload,
    batch_size: BatchSize,
    replicas: Mapping[str, int] | None = None,
) -> PipelineRun:
    """Run the split, which must give what the monolith gives record by record."""
    given = what_runs(workload, batch_size)
    expected = run_pipeline(**given, engine="monolith", batch_size=1)

    run = run_pipeline(**given, replicas=replicas)

    assert run.output == expected.output
    assert run.rejections == expected.rejections
    assert run.report.records == expected.report.records
    assert are_batches_of(run.report.batches, records_for(batch_size), batch_size)
    return run


@every_workload
def test_the_split_gives_what_the_monolith_gives(
    run_pipeline: PipelineRunner,
    pipeline_workload: Workload,
    pipeline_batch_size: BatchSize,
) -> None:
    """The result, the rejects, and where each record went."""
    check(run_pipeline, pipeline_workload, pipeline_batch_size)


@every_workload
def test_each_leg_carries_each_batch_once(
    run_pipeline: PipelineRunner,
    pipeline_workload: Workload,
    pipeline_batch_size: BatchSize,
) -> None:
    """The last one, which is not full, and those of which nothing is left, too."""
    report = run_pipeline(**what_runs(pipeline_workload, pipeline_batch_size)).report

    records = records_for(pipeline_batch_size)
    assert are_batches_of(report.batches, records, pipeline_batch_size)
    assert report.stream_writes == 3 * report.batches
    for name, stage in report.stages.items():
        assert stage.messages_in == (0 if name == INGEST else report.batches)
        assert stage.messages_out == (0 if name == SINK else report.batches)


@pytest.mark.pipeline(transport="tcp")
def test_it_is_the_same_over_tcp(
    run_pipeline: PipelineRunner,
    pipeline_workload: Workload,
    pipeline_batch_size: BatchSize,
) -> None:
    """Result, rejects and counts."""
    check(run_pipeline, pipeline_workload, pipeline_batch_size)


@pytest.mark.pipeline(transport="tls")
def test_it_is_the_same_under_tls(
    run_pipeline: PipelineRunner,
    pipeline_workload: Workload,
    pipeline_batch_size: BatchSize,
) -> None:
    """Result, rejects and counts."""
    check(run_pipeline, pipeline_workload, pipeline_batch_size)


@pytest.mark.pipeline(workload=WORKLOADS, servers="subprocess")
def test_it_is_the_same_in_processes(
    run_pipeline: PipelineRunner,
    pipeline_workload: Workload,
    pipeline_batch_size: BatchSize,
) -> None:
    """As a user runs it."""
    check(run_pipeline, pipeline_workload, pipeline_batch_size)


@every_workload
def test_it_is_the_same_with_replicas(
    run_pipeline: PipelineRunner,
    pipeline_workload: Workload,
    pipeline_batch_size: BatchSize,
) -> None:
    """However the batches fall on them."""
    replicas = {"parse": 3, "rules": 2, "aggregate": 2}

    run = check(run_pipeline, pipeline_workload, pipeline_batch_size, replicas)

    assert run.report.stages["parse"].replicas == 3


@every_workload
@pytest.mark.parametrize("window", [WindowLimits(1, 1), WindowLimits(2, 400)], ids=str)
def test_it_is_the_same_through_a_narrow_window(
    pipeline_workload: Workload, pipeline_batch_size: BatchSize, window: WindowLimits
) -> None:
    """One batch at a time, or those of a few hundred bytes, however large each is."""
    if pipeline_batch_size == AUTO:
        pytest.skip("the partition is given, so there is none to choose")
    stream = sample(pipeline_workload)
    partition = (pipeline_batch_size,) * (len(stream) // pipeline_batch_size)

    with SplitStages(pipeline_workload) as stages:
        outcome = stages.check(
            PartitionedStream(pipeline_workload, stream, partition), window
        )

    assert outcome.report is not None
    assert outcome.report.batches == math.ceil(len(stream) / pipeline_batch_size)


@pytest.mark.parametrize("stage", ["ingest", "parse", "rules", "aggregate", "sink"])
def test_a_run_without_one_of_its_servers_fails_and_the_next_is_right(
    run_pipeline: PipelineRunner,
    pipeline_stages: Mapping[str, Server],
    pipeline_workload: Workload,
    pipeline_batch_size: BatchSize,
    stage: str,
) -> None:
    """Once the server is back."""
    pipeline_stages[stage].kill()

    with pytest.raises(StageError, match=f"^stage {stage}: nobody answers"):
        run_pipeline(**what_runs(pipeline_workload, pipeline_batch_size))

    pipeline_stages[stage].restart()
    check(run_pipeline, pipeline_workload, pipeline_batch_size)
