"""Runs of a sweep: their measurements, and the check of their results."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.accounting import RunAccount, RunReport
from pipeline.engines.base import RunSettings
from pipeline.errors import ConservationError
from pipeline.publishing import write_whole
from pipeline.tuning.sweep import Sample, SweepRuns
from pipeline.workloads.events import EVENTS
from pipeline.workloads.lines import line_source


@dataclass
class FakeEngine:
    """Publishes a result at once. Messages have 1,000 bytes, and 10 for each record."""

    name: str = "fake"
    result: bytes = b"result"
    #: Batch size and records of each run so far.
    runs: list[tuple[int, int]] = field(default_factory=list)

    def run(self, settings: RunSettings) -> RunReport:
        """Publish the result and account for the messages."""
        records = settings.max_records
        size = settings.limits.records if settings.limits else records
        self.runs.append((size, records))
        account = RunAccount(settings.workload.stage_names)
        for _ in range(records // size):
            account.ingest(size)
            account.settle(size, 0, [])
            account.stages["ingest"].message_out(1000 + 10 * size)
            account.stages["parse"].message_in(900 + 10 * size)
            account.stages["parse"].message_out(100)
        write_whole(settings.output, self.result)
        return account.report(
            workload="events",
            engine=self.name,
            batch_size=size,
            elapsed_s=0.5,
            startup_s=0,
            cpu_s=0,
            one_process=False,
        )


@pytest.fixture
def settings(tmp_path: Path) -> RunSettings:
    """Settings for the fake engine."""
    return RunSettings(
        EVENTS, line_source("in"), input="in", output=tmp_path / "result"
    )


def test_a_run_measures_records_time_and_the_largest_messages(
    settings: RunSettings,
) -> None:
    """Message sizes are those of the stage with the largest messages."""
    engine = FakeEngine()
    runs = SweepRuns(engine, FakeEngine(), settings)

    assert runs.run(10, 300) == Sample(records=300, seconds=0.5)
    assert runs.run(100, 300) == Sample(records=300, seconds=0.5)
    assert engine.runs == [(10, 300), (100, 300)]
    assert runs.message_bytes == {10: 1100, 100: 2000}


def test_the_reference_runs_once_for_each_number_of_records(
    settings: RunSettings,
) -> None:
    """Its result is kept for later runs of as many records."""
    monolith = FakeEngine()
    runs = SweepRuns(FakeEngine(), monolith, settings)

    for size, records in ((10, 300), (100, 300), (10, 300), (10, 500)):
        runs.run_and_check(size, records)

    assert [records for _, records in monolith.runs] == [300, 500]


def test_a_result_that_differs_from_the_reference_is_an_error(
    settings: RunSettings,
) -> None:
    """The message names both engines and the batch size."""
    runs = SweepRuns(FakeEngine("split", b"other"), FakeEngine("monolith"), settings)

    with pytest.raises(
        ConservationError,
        match="split at batch size 10 gave another result than monolith for the same "
        "300 records",
    ):
        runs.run_and_check(10, 300)
