"""Measure each workload at each batch size: the split, and the reference engines."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from pipeline.accounting import RunReport
from pipeline.engines.distributed.engine import DistributedEngine
from pipeline.engines.monolith import MonolithEngine
from pytest_pipeline.measure.benchmark import benchmark_runs
from pytest_pipeline.measure.harness import Harness
from pytest_pipeline.measure.references.queues import QueuesEngine
from pytest_pipeline.measure.results import Record, Variant

#: The variants that have a transport.
GRPC = ("split", "floor")

_MISSING = "{} is not installed; the extra `{}` has it"

#: Measures runs of one variant, records the results, and returns the median report.
Measure = Callable[[Variant, Callable[[], RunReport]], RunReport]


@pytest.fixture(scope="session")
def dask_engine(harness: Harness) -> DistributedEngine:
    """The engine dask; skips where it is not installed."""
    pytest.importorskip("distributed", reason=_MISSING.format("distributed", "dask"))
    from pipeline.engines.distributed.dask_engine import engine

    made = engine()
    # Dask keeps threads after the first run of a process, which are no leak of a test.
    harness.runs("work-items", iterations=1).run(made, 1, 1)
    return made


@pytest.fixture
def measured(
    benchmark: BenchmarkFixture,
    pipeline_record: Record,
    harness: Harness,
    workload_name: str,
    batch_size: int,
) -> Measure:
    """Measure the variants of a workload at a batch size as one group."""
    benchmark.group = f"{workload_name}, batch size {batch_size}"

    def measured(variant: Variant, run: Callable[[], RunReport]) -> RunReport:
        found = benchmark_runs(
            benchmark,
            run,
            group="mixed" if workload_name == "mixed" else "batching",
            variant=variant,
            transport=harness.settings.transport if variant in GRPC else "",
            workload=workload_name,
        )
        pipeline_record.note(found)
        assert found.run is not None
        return found.run

    return measured


def test_split(
    measured: Measure, harness: Harness, workload_name: str, batch_size: int
) -> None:
    """The split passes all records, with stage servers in processes."""
    records = harness.records(workload_name, batch_size)
    runs, engine = harness.runs(workload_name), harness.split(workload_name)

    report = measured("split", lambda: runs.run(engine, batch_size, records))

    assert report.records.ingested == records


def test_monolith(
    measured: Measure, harness: Harness, workload_name: str, batch_size: int
) -> None:
    """The monolith, one process without gRPC, sends nothing over streams."""
    records = harness.records(workload_name, batch_size)
    runs, engine = harness.runs(workload_name), MonolithEngine()

    report = measured("monolith", lambda: runs.run(engine, batch_size, records))

    assert report.stream_writes == 0


def test_floor(
    measured: Measure, harness: Harness, workload_name: str, batch_size: int
) -> None:
    """The floor has the split's messages and bytes, with stages that do nothing."""
    records = harness.records(workload_name, batch_size)
    split = harness.runs(workload_name).run(
        harness.split(workload_name), batch_size, records
    )
    runs, engine = harness.floor(split)

    report = measured("floor", lambda: runs.run(engine, batch_size, records))

    assert report.stream_writes == split.stream_writes
    for mine, theirs in zip(report.stages.values(), split.stages.values(), strict=True):
        assert mine.bytes_in == pytest.approx(theirs.bytes_in, rel=0.05)
        # The timing in a reply is a few bytes longer or shorter in each run.
        times = 16 * theirs.messages_out
        assert mine.bytes_out == pytest.approx(theirs.bytes_out, rel=0.05, abs=times)


def test_queues(
    measured: Measure, harness: Harness, workload_name: str, batch_size: int
) -> None:
    """The queues pass all records: processes with pipes between them, without gRPC."""
    records = harness.records(workload_name, batch_size)
    runs = harness.runs(workload_name)

    with QueuesEngine(runs.dataset.workload) as engine:
        report = measured("queues", lambda: runs.run(engine, batch_size, records))

    assert report.records.ingested == records


def test_flight(
    measured: Measure, harness: Harness, workload_name: str, batch_size: int
) -> None:
    """Arrow Flight passes all records, with transform stages in processes."""
    pytest.importorskip("pyarrow.flight", reason=_MISSING.format("pyarrow", "peers"))
    from pytest_pipeline.measure.references.flight import FlightEngine

    records = harness.records(workload_name, batch_size)
    runs = harness.runs(workload_name)

    with FlightEngine(runs.dataset.workload) as engine:
        report = measured("flight", lambda: runs.run(engine, batch_size, records))

    assert report.records.ingested == records


def test_bytewax(
    measured: Measure, harness: Harness, workload_name: str, batch_size: int
) -> None:
    """Bytewax passes all records, with all stages in this process."""
    pytest.importorskip("bytewax.dataflow", reason=_MISSING.format("bytewax", "peers"))
    from pytest_pipeline.measure.references.dataflow import BytewaxEngine

    records = harness.records(workload_name, batch_size)
    runs, engine = harness.runs(workload_name), BytewaxEngine()

    report = measured("bytewax", lambda: runs.run(engine, batch_size, records))

    assert report.records.ingested == records


def test_dask(
    measured: Measure,
    harness: Harness,
    dask_engine: DistributedEngine,
    workload_name: str,
    batch_size: int,
) -> None:
    """Dask passes all records, on workers that read whole parts of the input."""
    records = harness.records(workload_name, batch_size)
    runs = harness.runs(workload_name)

    with dask_engine.opened() as engine:
        report = measured("dask", lambda: runs.run(engine, batch_size, records))

    assert report.records.ingested == records
