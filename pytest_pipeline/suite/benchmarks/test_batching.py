"""Each workload at each batch size: the split, and what it is measured against."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from pipeline.accounting import RunReport
from pipeline.engines.monolith import MonolithEngine
from pytest_pipeline.measure.bench import Bench
from pytest_pipeline.measure.recording import Record
from pytest_pipeline.measure.references.queues import QueuesEngine
from pytest_pipeline.measure.results import Variant
from pytest_pipeline.measure.rounds import measure

#: The variants that a transport says something of.
GRPC = ("split", "floor")

#: Measures runs of one kind, notes what came of them, and returns the median one.
Measure = Callable[[Variant, Callable[[], RunReport]], RunReport]


@pytest.fixture
def measured(
    benchmark: BenchmarkFixture,
    pipeline_record: Record,
    bench: Bench,
    workload_name: str,
    batch_size: int,
) -> Measure:
    """All that is measured of a workload at a batch size is one group."""
    benchmark.group = f"{workload_name}, batch size {batch_size}"

    def measured(variant: Variant, run: Callable[[], RunReport]) -> RunReport:
        found = measure(
            benchmark,
            run,
            group="mixed" if workload_name == "mixed" else "batching",
            variant=variant,
            transport=bench.settings.transport if variant in GRPC else "",
            workload=workload_name,
        )
        pipeline_record.note(found)
        assert found.run is not None
        return found.run

    return measured


def test_split(
    measured: Measure, bench: Bench, workload_name: str, batch_size: int
) -> None:
    """Stage servers in processes of their own, and the orchestrator."""
    records = bench.records(workload_name, batch_size)
    runs, engine = bench.runs(workload_name), bench.split(workload_name)

    report = measured("split", lambda: runs.run(engine, batch_size, records))

    assert report.records.ingested == records


def test_monolith(
    measured: Measure, bench: Bench, workload_name: str, batch_size: int
) -> None:
    """One process without gRPC; at batch size 1 it goes record by record."""
    records = bench.records(workload_name, batch_size)
    runs, engine = bench.runs(workload_name), MonolithEngine()

    report = measured("monolith", lambda: runs.run(engine, batch_size, records))

    assert report.stream_writes == 0


def test_floor(
    measured: Measure, bench: Bench, workload_name: str, batch_size: int
) -> None:
    """The split's legs and bytes, with stages that do nothing."""
    records = bench.records(workload_name, batch_size)
    split = bench.runs(workload_name).run(
        bench.split(workload_name), batch_size, records
    )
    runs, engine = bench.floor(split)

    report = measured("floor", lambda: runs.run(engine, batch_size, records))

    assert report.stream_writes == split.stream_writes
    for mine, theirs in zip(report.stages.values(), split.stages.values(), strict=True):
        assert mine.bytes_in == pytest.approx(theirs.bytes_in, rel=0.05)
        # What a stage says of its time takes some bytes more or fewer.
        times = 16 * theirs.messages_out
        assert mine.bytes_out == pytest.approx(theirs.bytes_out, rel=0.05, abs=times)


def test_queues(
    measured: Measure, bench: Bench, workload_name: str, batch_size: int
) -> None:
    """Processes with multiprocessing's queues and pickle, as one would begin."""
    records = bench.records(workload_name, batch_size)
    runs = bench.runs(workload_name)

    with QueuesEngine(runs.dataset.workload) as engine:
        report = measured("queues", lambda: runs.run(engine, batch_size, records))

    assert report.records.ingested == records
