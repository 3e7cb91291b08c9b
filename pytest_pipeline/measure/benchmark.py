"""Measure runs of one kind under pytest-benchmark."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from pytest_benchmark.fixture import BenchmarkFixture

from pipeline.accounting import RunReport
from pytest_pipeline.measure.results import Group, Measured, Variant

#: Rounds that are counted, after one run that warms up.
ROUNDS = 7

# A round repeats a short run until it is this long, but at most this often.
_ROUND_S = 0.1
_MOST_REPEATS = 20


def benchmark_runs(
    benchmark: BenchmarkFixture,
    run: Callable[[], RunReport],
    *,
    group: Group,
    variant: Variant,
    transport: str = "",
    iterations: int | None = None,
    workload: str = "",
) -> Measured:
    """Measure a run in 7 rounds; if benchmarks are disabled, in a single run.

    Throughputs come from the run reports. The times of pytest-benchmark are those of
    whole runs, with their setup.

    Args:
        benchmark: The fixture of the test.
        run: Runs once and returns the report.
        group: The group of the report that the results belong to.
        variant: Which engine runs.
        transport: Of the split; empty for engines without gRPC.
        iterations: Of work items.
        workload: The name to save, if it is not that of the run reports.
    """
    first = run()
    repeats = max(1, min(_MOST_REPEATS, math.ceil(_ROUND_S / first.elapsed_s)))
    reports: list[RunReport] = []
    benchmark.pedantic(lambda: reports.append(run()), rounds=ROUNDS, iterations=repeats)
    # pytest-benchmark runs once more if rounds have several iterations.
    counted = reports[: ROUNDS * repeats]
    rounds = [
        counted[start : start + repeats] for start in range(0, len(counted), repeats)
    ]
    return measured_of(
        rounds,
        group=group,
        variant=variant,
        transport=transport,
        iterations=iterations,
        workload=workload,
    )


def measured_of(
    rounds: Sequence[Sequence[RunReport]],
    *,
    group: Group,
    variant: Variant,
    transport: str = "",
    iterations: int | None = None,
    workload: str = "",
) -> Measured:
    """Return the results of rounds that each have one run or more, all of one kind.

    Takes the other arguments as `benchmark_runs`.
    """
    throughputs = [
        sum(report.records.ingested for report in reports)
        / sum(report.elapsed_s for report in reports)
        for reports in rounds
    ]
    by_throughput = sorted(
        zip(throughputs, rounds, strict=True), key=lambda pair: pair[0]
    )
    median = by_throughput[len(by_throughput) // 2][1][0]
    return Measured(
        group=group,
        variant=variant,
        workload=workload or median.workload,
        batch_size=median.typical_batch_size,
        records=median.records.ingested,
        transport=transport,
        replicas={
            name: stage.replicas
            for name, stage in median.stages.items()
            if stage.replicas > 1
        },
        iterations=iterations,
        throughput_per_s=throughputs,
        ipc_share=[
            sum(report.ipc_share for report in reports) / len(reports)
            for reports in rounds
        ]
        if variant in ("split", "floor")
        else [],
        run=median,
    )
