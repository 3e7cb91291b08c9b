"""What batching does to light work, claimed by the ends of intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from pipeline.accounting import RunReport
from pipeline.stages import INGEST, SINK
from pipeline.tuning.cost import fit
from pytest_pipeline.measure.bench import Bench
from pytest_pipeline.measure.comparison import LOOKS, Comparer, interval
from pytest_pipeline.measure.results import Interval

# What may skip a test comes before its benchmark, which would warn of not being used.
pytestmark = pytest.mark.benchmark(group="claims")

#: Of the published study that this repeats.
PUBLISHED_GAIN = 3.0

#: Sizes that are swept for the knee, and for the IPC share.
CURVE = (1, 10, 100, 1000, 10_000)
SHARES = (1, 100, 1000)

# Runs as long as this are long enough, for there are many.
_RUN_S = 0.1


def test_batching_is_worth_it(
    events: str, bench: Bench, pipeline_compare: Comparer
) -> None:
    """Light events at batch size 100 beat batch size 1 by more than was published."""
    runs, engine = bench.runs(events), bench.split(events)
    records = {
        size: runs.records_for(engine, size, bench.settings.run_seconds)
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
    events: str, benchmark: BenchmarkFixture, bench: Bench
) -> None:
    """Each larger batch is faster, until the knee, which is found and named."""
    rounds = benchmark.pedantic(lambda: _sweep(bench, events, CURVE))

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
    events: str, benchmark: BenchmarkFixture, bench: Bench
) -> None:
    """While the counts of every run stay exact."""
    rounds = benchmark.pedantic(lambda: _sweep(bench, events, SHARES))

    for small, large in pairwise(SHARES):
        share = _ratio(rounds, small, large, lambda report: report.ipc_share)
        assert share.high < 1, f"IPC share at batch size {large} against {small}"
    for reports in rounds:
        for size, report in reports.items():
            _check_counts(report, size)


def test_stream_writes_are_exact(
    benchmark: BenchmarkFixture,
    bench: Bench,
    workload_name: str,
    batch_size: int,
) -> None:
    """Each leg carries ceil(records / batch size) batches, the last not full."""
    runs, engine = bench.runs(workload_name), bench.split(workload_name)
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
    bench: Bench, workload: str, sizes: Sequence[int]
) -> list[Mapping[int, RunReport]]:
    """Return rounds of a run at each size, every other round the other way about."""
    runs, engine = bench.runs(workload), bench.split(workload)
    seconds = min(_RUN_S, bench.settings.run_seconds)
    records = {size: runs.records_for(engine, size, seconds) for size in sizes}
    return [
        {
            size: runs.run(engine, size, records[size])
            for size in (sizes if number % 2 else sizes[::-1])
        }
        for number in range(LOOKS[0])
    ]


def _ratio(
    rounds: Sequence[Mapping[int, RunReport]],
    small: int,
    large: int,
    figure: Callable[[RunReport], float],
) -> Interval:
    """Return how a figure at a large batch size compares with that at a small one."""
    return interval(
        [
            math.log(figure(reports[large]) / figure(reports[small]))
            for reports in rounds
        ]
    )
