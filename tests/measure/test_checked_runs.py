"""Checked runs, on engines that report a given elapsed time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from pipeline.accounting import RunReport
from pipeline.engines.base import RunSettings
from pipeline.engines.monolith import MonolithEngine
from pipeline.errors import ConservationError
from pipeline.workloads import workload_named
from pytest_pipeline.measure.benchmark import ROUNDS, measured_of
from pytest_pipeline.measure.checked_runs import CheckedRuns
from pytest_pipeline.measure.dataset import dataset_of


@dataclass
class TimedEngine:
    """The monolith, whose report says that it took ``seconds`` of its records."""

    seconds: Callable[[int], float]
    sizes: list[int] = field(default_factory=list)
    name: str = "timed"

    def run(self, settings: RunSettings) -> RunReport:
        """Run, and report the given time."""
        report = MonolithEngine().run(settings)
        self.sizes.append(report.records.ingested)
        elapsed_s = self.seconds(report.records.ingested)
        return msgspec.structs.replace(
            report,
            elapsed_s=elapsed_s,
            throughput_per_s=report.records.ingested / elapsed_s,
        )


class LyingEngine:
    """The monolith, with one more line in the result."""

    name = "lying"

    def run(self, settings: RunSettings) -> RunReport:
        """Run, and add to the result."""
        report = MonolithEngine().run(settings)
        settings.output.write_bytes(settings.output.read_bytes() + b"{}\n")
        return report


@pytest.fixture
def runs(tmp_path: Path) -> CheckedRuns:
    """Runs of work items with hardly any work."""
    options = {"iterations": 1, "payload_size": "small"}
    dataset = dataset_of(workload_named("work-items"), tmp_path, options=options)
    return CheckedRuns(dataset, tmp_path)


@pytest.fixture
def few(tmp_path: Path) -> CheckedRuns:
    """Runs on an input of seven lines."""
    data = b'{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":10}\n' * 7
    return CheckedRuns(dataset_of(workload_named("events"), tmp_path, data), tmp_path)


def test_a_run_has_the_number_of_records_given(runs: CheckedRuns) -> None:
    """They are in batches of the given size."""
    report = runs.run(MonolithEngine(), batch_size=3, records=10)

    assert report.records.ingested == 10
    assert report.batches == 4


def test_a_result_that_is_not_the_monoliths_is_an_error(runs: CheckedRuns) -> None:
    """What a run with a wrong result measures is worth nothing."""
    with pytest.raises(
        ConservationError, match="lying at batch size 3: the result of 4"
    ):
        runs.run(LyingEngine(), batch_size=3, records=4)


@pytest.mark.parametrize(
    ("per_record_s", "batch_size", "records"),
    [(0.001, 10, 200), (0.0004, 10, 500), (0.1, 1, 2), (0.1, 50, 50), (3.0, 1, 1)],
)
def test_a_run_is_sized_by_its_length_in_seconds(
    runs: CheckedRuns, per_record_s: float, batch_size: int, records: int
) -> None:
    """The number of records is a round one, and at least a batch."""
    engine = TimedEngine(lambda count: count * per_record_s)

    assert runs.records_for(engine, batch_size, seconds=0.25) == records


def test_sizing_grows_ten_times_at_most(runs: CheckedRuns) -> None:
    """After a very short run, the next has ten times as many records."""
    engine = TimedEngine(lambda count: count * 1e-5)

    assert runs.records_for(engine, 1, seconds=0.02) == 2000
    assert engine.sizes == [2, 20, 200, 2000]


def test_no_run_has_more_records_than_there_are(few: CheckedRuns) -> None:
    """That is so however short the run is."""
    engine = TimedEngine(lambda count: count * 1e-5)

    assert few.records_for(engine, 1, seconds=0.25) == 5
    assert few.records_for(engine, 100, seconds=0.25) == 7


def test_results_have_throughputs_and_the_median_run(
    runs: CheckedRuns,
) -> None:
    """The throughput of a round of several runs is that of their sums."""
    seconds = iter([1.0, 3.0, 8.0, 8.0, 4.0, 4.0])
    engine = TimedEngine(lambda _: next(seconds))
    reports = [runs.run(engine, batch_size=4, records=8) for _ in range(6)]

    measured = measured_of(
        [reports[0:2], reports[2:4], reports[4:6]],
        group="batching",
        variant="monolith",
        iterations=1,
    )

    assert measured.throughput_per_s == [4.0, 1.0, 2.0]
    assert measured.run is reports[4]
    assert measured.records == 8
    assert measured.batch_size == 4
    assert measured.workload == "work-items"
    assert measured.ipc_share == []
    assert measured.throughput is not None
    assert measured.throughput.low == 1.0
    assert measured.throughput.value == 2.0
    assert measured.throughput.high == 4.0
    assert measured.throughput.confidence == 0.75


def test_seven_rounds_hold_the_median_with_98_percent() -> None:
    """Benchmarks have seven rounds."""
    assert 1 - 2.0 ** (1 - ROUNDS) > 0.98
