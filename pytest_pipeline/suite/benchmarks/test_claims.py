"""Check what batching does for light work, by the ends of confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from pipeline.accounting import RunReport
from pipeline.stages import INGEST, SINK
from pipeline.tuning.cost import fit
from pytest_pipeline.measure.comparison import Comparer
from pytest_pipeline.measure.estimation import LOOKS, paired_ratio
from pytest_pipeline.measure.harness import Harness
from pytest_pipeline.measure.results import Interval
from pytest_pipeline.measure.rounds import in_turns

# Fixtures that may skip come before `benchmark`, which warns if it is not used.
pytestmark = pytest.mark.benchmark(group="claims")

#: The gain of batching in the published study that this project follows.
PUBLISHED_GAIN = 3.0

#: Batch sizes of the sweep for the knee, and of that for the IPC share.
CURVE = (1, 10, 100, 1000, 10_000)
SHARES = (1, 100, 1000)

# Seconds of a run in a sweep. Short runs are enough, since there are many.
_RUN_S = 0.1


def test_batching_is_worth_it(
    events: str, harness: Harness, pipeline_compare: Comparer
) -> None:
    """On events, batch size 100 beats batch size 1 by more than the published gain."""
    runs, engine = harness.runs(events), harness.split(events)
    records = {
        size: runs.records_for(engine, size, harness.settings.run_seconds)
        for size in (1, 100)
    }

    def batched() -> None:
        runs.run(engine, 100, records[100])

    def single() -> None:
        runs.run(engine, 1, records[1])

    compared = pipeline_compare(
        batched,
        single,
        names=("batch size 100", "batch size 1"),
        work=(records[100], records[1]),
    )

    assert compared.faster_than(single, by=PUBLISHED_GAIN)


def test_throughput_rises_to_its_knee(
    events: str, benchmark: BenchmarkFixture, harness: Harness
) -> None:
    """Each larger batch size is faster up to the knee, and the sweep has a knee."""
    rounds = benchmark.pedantic(lambda: _sweep(harness, events, CURVE))

    cost = fit(
        [
            {size: 1 / report.throughput_per_s for size, report in reports.items()}
            for reports in rounds
        ]
    )
    benchmark.extra_info["knee"] = cost.knee
    for small, large in pairwise(CURVE):
        if large <= cost.knee:
            gain = _ratio(rounds, small, large, lambda report: report.throughput_per_s)
            assert gain.low > 1, f"batch size {large} against {small}, knee {cost.knee}"
    assert CURVE[0] < cost.knee <= CURVE[-1]


def test_the_ipc_share_falls_with_batch_size(
    events: str, benchmark: BenchmarkFixture, harness: Harness
) -> None:
    """A larger batch size has a lower IPC share, and all counts are exact."""
    rounds = benchmark.pedantic(lambda: _sweep(harness, events, SHARES))

    for small, large in pairwise(SHARES):
        share = _ratio(rounds, small, large, lambda report: report.ipc_share)
        assert share.high < 1, f"IPC share at batch size {large} against {small}"
    for reports in rounds:
        for size, report in reports.items():
            _check_counts(report, size)


def test_stream_writes_are_exact(
    benchmark: BenchmarkFixture,
    harness: Harness,
    workload_name: str,
    batch_size: int,
) -> None:
    """Each leg carries ceil(records / batch size) batches, the last not full."""
    runs, engine = harness.runs(workload_name), harness.split(workload_name)
    records = min(batch_size + 1, runs.dataset.available or math.inf)

    report: RunReport = benchmark.pedantic(
        lambda: runs.run(engine, batch_size, int(records))
    )

    assert report.records.ingested == records
    _check_counts(report, batch_size)


def _check_counts(report: RunReport, batch_size: int) -> None:
    batches = math.ceil(report.records.ingested / batch_size)
    transforms = [
        stage for name, stage in report.stages.items() if name not in (INGEST, SINK)
    ]
    assert report.batches == batches
    assert report.stream_writes == batches * len(transforms)
    assert report.stages[INGEST].messages_out == batches
    assert report.stages[SINK].messages_in == batches
    for stage in transforms:
        assert (stage.messages_in, stage.messages_out) == (batches, batches)


def _sweep(
    harness: Harness, workload: str, sizes: Sequence[int]
) -> list[Mapping[int, RunReport]]:
    """Return rounds with a run at each size, every other round in reverse order."""
    runs, engine = harness.runs(workload), harness.split(workload)
    seconds = min(_RUN_S, harness.settings.run_seconds)
    records = {size: runs.records_for(engine, size, seconds) for size in sizes}
    reports = in_turns(
        {size: partial(runs.run, engine, size, records[size]) for size in sizes},
        LOOKS[0],
    )
    return [
        dict(zip(reports, of_round, strict=True))
        for of_round in zip(*reports.values(), strict=True)
    ]


def _ratio(
    rounds: Sequence[Mapping[int, RunReport]],
    small: int,
    large: int,
    figure: Callable[[RunReport], float],
) -> Interval:
    """Return the ratio of a figure at the large batch size to that at the small one."""
    return paired_ratio(
        [figure(reports[large]) for reports in rounds],
        [figure(reports[small]) for reports in rounds],
    )
