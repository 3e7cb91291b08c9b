"""A ratio is measured by what the run reports say, in rounds, while it is open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from pipeline.accounting import RunReport
from pipeline.engines.monolith import MonolithEngine
from pipeline.workloads import workload_named
from pytest_pipeline.measure.checked_runs import CheckedRuns
from pytest_pipeline.measure.dataset import dataset_of
from pytest_pipeline.measure.ratios.judging import MeasuredRatio
from pytest_pipeline.measure.ratios.measuring import Runs, measured
from tests.clock import StandingClock


@pytest.fixture
def clock() -> StandingClock:
    """A clock that runs move."""
    return StandingClock()


@pytest.fixture
def taking(tmp_path: Path, clock: StandingClock) -> Callable[[str, int, float], Runs]:
    """Make runs of so many records that take so many seconds each."""
    options = {"iterations": 1, "payload_size": "small"}
    dataset = dataset_of(workload_named("work-items"), tmp_path, options=options)
    report = CheckedRuns(dataset, tmp_path).run(MonolithEngine(), 1, 1)

    def taking(name: str, records: int, seconds: float) -> Runs:
        def run() -> RunReport:
            clock.now += seconds
            return msgspec.structs.replace(report, elapsed_s=seconds)

        return Runs(name, records, run)

    return taking


def test_a_ratio_is_of_the_time_of_a_record(
    taking: Callable[[str, int, float], Runs], clock: StandingClock
) -> None:
    """So runs may have as many records as suits them."""
    found = measured(
        taking("split", 10, 0.5),
        taking("monolith", 100, 1.0),
        is_open=lambda _: False,
        budget_s=1.0,
        clock=clock,
    )

    assert found.rounds == 12
    assert found.ratio.low == pytest.approx(5)
    assert found.ratio.low <= found.ratio.value <= found.ratio.high
    assert found.floor == pytest.approx(1)
    assert found.records_per_s == pytest.approx({"split": 20, "monolith": 100})


@pytest.mark.parametrize(
    ("settled", "budget_s", "rounds"),
    [(12, 1000.0, [12]), (24, 1000.0, [12, 24]), (99, 1000.0, [12, 24, 48])],
)
def test_rounds_are_added_only_while_the_answer_is_open(
    taking: Callable[[str, int, float], Runs],
    clock: StandingClock,
    settled: int,
    budget_s: float,
    rounds: list[int],
) -> None:
    """It is looked at after twelve, twice and four times as many."""
    seen: list[int] = []

    def is_open(found: MeasuredRatio) -> bool:
        seen.append(found.rounds)
        return found.rounds < settled

    runs = taking("a", 1, 0.5), taking("b", 1, 0.5)
    found = measured(*runs, is_open=is_open, budget_s=budget_s, clock=clock)

    assert seen == rounds
    assert found.rounds == rounds[-1]


def test_past_the_budget_no_round_is_added(
    taking: Callable[[str, int, float], Runs], clock: StandingClock
) -> None:
    """But those of the first look are always run: 12 of four runs of half a second."""
    runs = taking("a", 1, 0.5), taking("b", 1, 0.5)

    some = measured(*runs, is_open=lambda _: True, budget_s=33.0, clock=clock)
    none = measured(*runs, is_open=lambda _: True, budget_s=1.0, clock=clock)

    # Four runs have said how long a sample is.
    assert some.rounds == 15
    assert none.rounds == 12
