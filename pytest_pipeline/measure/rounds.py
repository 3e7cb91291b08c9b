"""Rounds of runs under pytest-benchmark, and what is kept of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from pytest_benchmark.fixture import BenchmarkFixture

from pipeline.accounting import RunReport
from pytest_pipeline.measure.results import Group, Measured, Variant

#: Runs that are counted, after one that warms up.
ROUNDS = 7

# A round of a quick engine repeats its run until it is as long as this, or so often.
_ROUND_S = 0.1
_MOST_REPEATS = 20


def measure(
    benchmark: BenchmarkFixture,
    run: Callable[[], RunReport],
    *,
    group: Group,
    variant: Variant,
    transport: str = "",
    iterations: int | None = None,
    workload: str = "",
) -> Measured:
    """Run in rounds, and return what came of them.

    pytest-benchmark's times are of one run each, its set-up included; throughputs are
    by the run reports. ``workload`` is what is meant where the reports name another.
    Where benchmarks are disabled there is one run.
    """
    first = run()
    repeats = max(1, min(_MOST_REPEATS, math.ceil(_ROUND_S / first.elapsed_s)))
    reports: list[RunReport] = []
    benchmark.pedantic(lambda: reports.append(run()), rounds=ROUNDS, iterations=repeats)
    # pytest-benchmark runs once more where a round has several.
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
    """Return what rounds of one run or more, all of one kind, have measured."""
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
        batch_size=median.batch_size,
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
