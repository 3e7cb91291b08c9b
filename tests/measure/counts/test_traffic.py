"""Messages and bytes on the legs are counted exactly."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.stages import INGEST, SINK
from pipeline.workloads import workload_named
from pipeline.workloads.events import EVENTS
from pytest_pipeline.measure.checked_runs import CheckedRuns
from pytest_pipeline.measure.counts.baseline import CountsBaseline
from pytest_pipeline.measure.counts.traffic import RECORDS, count_run, counted_dataset
from pytest_pipeline.measure.dataset import Dataset
from pytest_pipeline.options import PipelineSettings
from pytest_pipeline.servers.pool import ServerPool
from pytest_pipeline.servers.runs import split_engine
from pytest_pipeline.servers.specification import stage_specs

TRANSFORMS = [stage.name for stage in EVENTS.transforms]


@pytest.mark.parametrize("batch_size", [1, 10, 100, 1000])
def test_each_leg_has_a_message_for_each_batch(
    dataset: Dataset, batch_size: int
) -> None:
    """The sink has two more, for its target and its commit."""
    batches = math.ceil(205 / batch_size)

    counts = count_run(dataset, batch_size)

    assert counts["records"] == 205
    for stage in TRANSFORMS:
        assert counts[f"stream writes to {stage}"] == batches
        assert counts[f"messages from {stage}"] == batches
    assert counts["messages from ingest"] == batches
    assert counts["stream writes to sink"] == batches + 2


def test_bytes_are_those_of_the_run_report_without_the_timing_in_replies(
    dataset: Dataset, pipeline_servers: ServerPool, tmp_path: Path
) -> None:
    """Messages to a stage have no timing, and so exactly the bytes of the report."""
    servers = pipeline_servers.shared(stage_specs(PipelineSettings(), EVENTS))
    report = CheckedRuns(dataset, tmp_path).run(split_engine(servers), 10, 205)

    counts = count_run(dataset, 10)

    for stage in (*TRANSFORMS, SINK):
        assert counts[f"bytes to {stage}"] == report.stages[stage].bytes_in
    for stage in (INGEST, *TRANSFORMS):
        # A timing takes no more than its twelve numbers, each of ten bytes at most.
        timing = report.stages[stage].bytes_out - counts[f"bytes from {stage}"]
        assert 0 < timing < 21 * (12 * 11 + 2)


@pytest.mark.parametrize("workload", ["events", "work-items", "mixed"])
def test_two_runs_have_the_same_counts(workload: str, tmp_path: Path) -> None:
    """Counts do not depend on the time that a run takes."""
    dataset = counted_dataset(workload_named(workload), tmp_path)

    first, second = (count_run(dataset, 100) for _ in range(2))

    assert first == second
    assert first["records"] == RECORDS


def test_one_more_write_in_a_hundred_batches_is_found(
    dataset: Dataset, request: pytest.FixtureRequest
) -> None:
    """A write is found that neither the result nor the run report shows."""
    baseline = CountsBaseline()
    baseline.replace("events", count_run(dataset, 1))

    request.getfixturevalue("wasteful")
    counts = count_run(dataset, 1)

    lines = baseline.differences("events", counts)
    assert "events: stream writes to parse: 207, baseline 205" in lines
    assert {line.partition(",")[0] for line in lines if "writes" in line} == {
        f"events: stream writes to {stage}: 207" for stage in TRANSFORMS
    }


def test_a_workload_that_reads_needs_its_input(tmp_path: Path) -> None:
    """Records are generated for the events workload only."""
    with pytest.raises(UsageError, match="give --pipeline-data"):
        counted_dataset(replace(EVENTS, name="mine:MINE"), tmp_path)
