"""Measure transports, replicas of a stage, and the latency of records."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from pytest_pipeline.measure.benchmark import benchmark_runs
from pytest_pipeline.measure.harness import Harness
from pytest_pipeline.measure.references.arrivals import Arrivals
from pytest_pipeline.measure.results import Measured, Record
from pytest_pipeline.options import Transport

#: Batch sizes: where messages are nearly all of the cost, and where they are not.
SIZES = (1, 100)
LATENCY_SIZES = (1, 10, 100)

#: Shares of the capacity.
LOADS = (0.1, 0.25, 0.5, 0.75, 0.9)

#: Seconds of arrivals. At 1,000 a second, five records exceed the 99.9th percentile.
_ARRIVALS_S = 5.0


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("transport", ["unix", "tcp", "tls"])
def test_transport(
    benchmark: BenchmarkFixture,
    pipeline_record: Record,
    harness: Harness,
    first_workload: str,
    transport: Transport,
    size: int,
) -> None:
    """The split passes all records over Unix sockets, TCP on loopback, and TLS."""
    if harness.settings.stage:
        pytest.skip("stages that are given are reached at the addresses they tell")
    records = harness.records(first_workload, size)
    runs = harness.runs(first_workload)
    engine = harness.split(first_workload, transport=transport)
    benchmark.group = f"{first_workload} over each transport, batch size {size}"

    measured = benchmark_runs(
        benchmark,
        lambda: runs.run(engine, size, records),
        group="transports",
        variant="split",
        transport=transport,
    )

    pipeline_record.note(measured)
    assert measured.run is not None
    assert measured.run.records.ingested == records


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("servers", [1, 2])
def test_replicas(
    benchmark: BenchmarkFixture,
    pipeline_record: Record,
    harness: Harness,
    first_workload: str,
    servers: int,
    size: int,
) -> None:
    """The split uses one server, or two, of the stage with the most work."""
    records = harness.records(first_workload, size)
    runs = harness.runs(first_workload)
    stage = harness.busiest_stage(
        runs.run(harness.split(first_workload), size, records)
    )
    engine = harness.split(first_workload, replicas={stage: servers})
    benchmark.group = f"{first_workload} with replicas of {stage}, batch size {size}"

    measured = benchmark_runs(
        benchmark,
        lambda: runs.run(engine, size, records),
        group="replicas",
        variant="split",
        transport=harness.settings.transport,
    )

    pipeline_record.note(measured)
    assert measured.run is not None
    assert measured.run.stages[stage].replicas == servers


@pytest.mark.parametrize("size", LATENCY_SIZES)
def test_latency(
    benchmark: BenchmarkFixture,
    pipeline_record: Record,
    harness: Harness,
    first_workload: str,
    size: int,
) -> None:
    """Records that arrive at a fixed rate have a latency, and the right result."""
    rate_per_s = harness.settings.arrival_rate
    runs = harness.runs(first_workload)
    seconds = min(_ARRIVALS_S, harness.settings.run_seconds * 20)
    records = int(
        min(max(rate_per_s * seconds, 10 * size), runs.dataset.available or 1e9)
    )
    benchmark.group = f"{first_workload}, {rate_per_s:g} records a second"

    arrivals: Arrivals = benchmark.pedantic(
        lambda: harness.arrivals(first_workload, size, records)
    )

    pipeline_record.note(
        Measured(
            group="latency",
            variant="split",
            workload=first_workload,
            batch_size=size,
            records=records,
            transport=harness.settings.transport,
            throughput_per_s=[arrivals.achieved_per_s],
            latency=arrivals.latency,
        )
    )
    assert arrivals.result == runs.result_of(records)
    assert sum(arrivals.records) == records


@pytest.mark.parametrize("share", LOADS, ids="{:.0%}".format)
def test_latency_at_load(
    benchmark: BenchmarkFixture,
    pipeline_record: Record,
    harness: Harness,
    first_workload: str,
    share: float,
) -> None:
    """Lines that arrive at a share of the capacity have a latency."""
    runs = harness.runs(first_workload)
    seconds = min(_ARRIVALS_S, harness.settings.run_seconds * 20)
    benchmark.group = f"{first_workload}, shares of the capacity"

    arrivals: Arrivals = benchmark.pedantic(
        lambda: harness.arrivals_at_load(first_workload, share, seconds)
    )

    records = sum(arrivals.records)
    pipeline_record.note(
        Measured(
            group="load",
            variant="split",
            workload=first_workload,
            records=records,
            transport=harness.settings.transport,
            throughput_per_s=[arrivals.achieved_per_s],
            latency=arrivals.latency,
        )
    )
    assert arrivals.result == runs.result_of(records)
