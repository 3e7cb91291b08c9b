"""How stages are reached, how many servers they have, and how long records take."""

from __future__ import annotations

from typing import get_args

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from pytest_pipeline.measure.bench import Bench
from pytest_pipeline.measure.recording import Record
from pytest_pipeline.measure.references.arrivals import Arrivals
from pytest_pipeline.measure.results import Measured
from pytest_pipeline.measure.rounds import measure
from pytest_pipeline.options import Transport

#: Where messages are all of the cost, and where they are not.
SIZES = (1, 100)
LATENCY_SIZES = (1, 10, 100)

#: Seconds of arrivals; of 1,000 a second, five are beyond the 99.9th percentile.
_ARRIVALS_S = 5.0


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("transport", get_args(Transport))
def test_transport(
    benchmark: BenchmarkFixture,
    pipeline_record: Record,
    bench: Bench,
    first_workload: str,
    transport: Transport,
    size: int,
) -> None:
    """Unix sockets, TCP on the loopback interface, and TLS over it."""
    if bench.settings.stage:
        pytest.skip("stages that are given are reached at the addresses they tell")
    records = bench.records(first_workload, size)
    runs = bench.runs(first_workload)
    engine = bench.split(first_workload, transport=transport)
    benchmark.group = f"{first_workload} over each transport, batch size {size}"

    measured = measure(
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
    bench: Bench,
    first_workload: str,
    servers: int,
    size: int,
) -> None:
    """One server and two of the stage that has most to do."""
    records = bench.records(first_workload, size)
    runs = bench.runs(first_workload)
    stage = bench.busiest(runs.run(bench.split(first_workload), size, records))
    engine = bench.split(first_workload, replicas={stage: servers})
    benchmark.group = f"{first_workload} with replicas of {stage}, batch size {size}"

    measured = measure(
        benchmark,
        lambda: runs.run(engine, size, records),
        group="replicas",
        variant="split",
        transport=bench.settings.transport,
    )

    pipeline_record.note(measured)
    assert measured.run is not None
    assert measured.run.stages[stage].replicas == servers


@pytest.mark.parametrize("size", LATENCY_SIZES)
def test_latency(
    benchmark: BenchmarkFixture,
    pipeline_record: Record,
    bench: Bench,
    first_workload: str,
    size: int,
) -> None:
    """From when a record is due, at a rate that does not wait for the stages."""
    rate_per_s = bench.settings.arrival_rate
    runs = bench.runs(first_workload)
    seconds = min(_ARRIVALS_S, bench.settings.run_seconds * 20)
    records = int(
        min(max(rate_per_s * seconds, 10 * size), runs.dataset.available or 1e9)
    )
    benchmark.group = f"{first_workload}, {rate_per_s:g} records a second"

    arrivals: Arrivals = benchmark.pedantic(
        lambda: bench.arrivals(first_workload, size, records)
    )

    pipeline_record.note(
        Measured(
            group="latency",
            variant="split",
            workload=first_workload,
            batch_size=size,
            records=records,
            transport=bench.settings.transport,
            throughput_per_s=[arrivals.achieved_per_s],
            latency=arrivals.latency,
        )
    )
    assert arrivals.result == runs.result_of(records)
    assert sum(arrivals.records) == records
