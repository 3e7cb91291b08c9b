"""A run with a checkpoint resumes after a crash, and ends with the same bytes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.batching import BatchSize, limits_of
from pipeline.checkpoint import Checkpoint
from pipeline.engines.monolith import MonolithEngine
from pipeline.engines.split import SplitEngine
from pipeline.errors import FunctionError, SourceError
from pipeline.reject_limit import RejectLimit
from pipeline.v1.events_pb2 import Totals
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.aggregate import TotalsByType
from tests.engines.resuming import (
    NewRun,
    crash,
    published,
    resume,
    whole,
)


@pytest.mark.parametrize(
    "name", ["events", "work-items", "mixed", "access_logs:ACCESS_LOGS"]
)
@given(
    st.lists(st.integers(1, 17), min_size=1, max_size=3),
    st.sampled_from([7, "auto"]),
    st.integers(1, 6),
)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_run_that_crashes_at_any_batch_gives_the_same_in_the_end(
    new_run: NewRun,
    name: str,
    crashes: list[int],
    batch_size: BatchSize,
    every: int,
) -> None:
    """However often it crashes: result, rejects and counts of the whole run."""
    run = new_run(name, limits=limits_of(batch_size), checkpoint_batches=every)
    result, rejects, expected = whole(run)

    for batches in crashes:
        crash(MonolithEngine(), run, batches)
        # That of a run which came to its end before the crash.
        run.output.unlink(missing_ok=True)
    _, report = resume(MonolithEngine(), run)

    assert published(run) == (result, rejects)
    assert report.records == expected.records
    assert report.rejections == expected.rejections


@pytest.mark.parametrize("batches", [3, 4, 5, 12, 13])
def test_no_more_batches_are_repeated_than_there_are_between_checkpoints(
    new_run: NewRun, batches: int
) -> None:
    """The last of the batches is settled, and its checkpoint is not stored yet."""
    run = new_run("events", checkpoint_batches=4)
    crash(MonolithEngine(), run, batches)

    resumed, report = resume(MonolithEngine(), run)

    stored = (batches - 1) // 4 * 4
    assert resumed == report.resumed_records == 7 * stored
    assert report.stages["parse"].replicas == 1
    assert report.batches == math.ceil(120 / 7)


@pytest.fixture
def split(addresses: dict[str, str]) -> SplitEngine:
    """The split, with a new process for ingest in each run."""
    return SplitEngine(
        {name: addresses[name] for name in ("parse", "rules", "aggregate")}
    )


@pytest.mark.parametrize("batch_size", [7, "auto"])
def test_the_split_resumes_with_the_bytes_of_the_monolith(
    new_run: NewRun, split: SplitEngine, batch_size: BatchSize
) -> None:
    """Ingest begins at the position."""
    run = new_run("events", limits=limits_of(batch_size), checkpoint_batches=1)
    result, rejects, expected = whole(run)

    crash(split, run, 3)
    resumed, report = resume(split, run)

    assert resumed > 0
    assert published(run) == (result, rejects)
    assert report.records == expected.records
    assert report.stages["parse"].messages_in < report.batches
    assert run.checkpoint is not None
    assert list(run.checkpoint.iterdir()) == []


def test_a_run_resumes_under_the_other_engine(
    new_run: NewRun, split: SplitEngine
) -> None:
    """Both count batches and records alike."""
    run = new_run("events", checkpoint_batches=2)
    expected = whole(run)

    crash(split, run, 5)
    resumed, _ = resume(MonolithEngine(), run)

    assert resumed > 0
    assert published(run) == expected[:2]


def test_a_crash_after_publishing_publishes_the_same_again(
    new_run: NewRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint of a published run is removed last."""
    run = new_run("events")
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "remove", lambda _: None)
        MonolithEngine().run(run)
    expected = published(run)

    resumed, report = resume(MonolithEngine(), run)

    assert resumed > 0
    assert published(run) == expected
    assert report.records.ingested == 120


def test_a_published_run_starts_anew(new_run: NewRun) -> None:
    """Nothing is left of its checkpoint."""
    run = new_run("events")
    MonolithEngine().run(run)

    resumed, _ = resume(MonolithEngine(), run)

    assert resumed == 0


def test_a_run_with_too_many_rejects_resumes_with_a_higher_limit(
    new_run: NewRun,
) -> None:
    """The limit decides only whether the run fails."""
    run = new_run("events", checkpoint_batches=1)
    expected = whole(run)
    with pytest.raises(SourceError, match="more than --max-rejects 9"):
        MonolithEngine().run(replace(run, reject_limit=RejectLimit.parsed("9")))

    resumed, _ = resume(
        MonolithEngine(), replace(run, reject_limit=RejectLimit.parsed("90%"))
    )

    assert resumed > 0
    assert published(run) == expected[:2]


class FailingTotals(TotalsByType):
    """Fails once more than 30 events have passed."""

    def add(self, totals: Totals, /) -> bytes:
        """Add totals, up to a point."""
        if self.records > 30:
            raise ZeroDivisionError("no luck")
        return super().add(totals)


@pytest.mark.parametrize("name", ["monolith", "split"])
def test_a_resumed_run_fails_with_the_words_of_the_whole_run(
    new_run: NewRun, split: SplitEngine, name: str
) -> None:
    """Batches and records are counted from the beginning of the input."""
    engine = MonolithEngine() if name == "monolith" else split
    workload = replace(EVENTS, new_result=FailingTotals)
    run = new_run("events", workload=workload, checkpoint_batches=1)
    with pytest.raises(FunctionError) as expected:
        MonolithEngine().run(replace(run, checkpoint=None))

    crash(engine, run, 4)
    with pytest.raises(FunctionError) as failure:
        engine.run(run)

    assert str(failure.value) == str(expected.value)
    assert "stage sink: batch " in str(failure.value)
    assert "add" in failure.value.traceback
