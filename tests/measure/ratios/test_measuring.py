"""A ratio is measured by the run reports, in rounds that are added while it is open."""

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
from pytest_pipeline.measure.ratios.measuring import Runs, measure_rounds
from tests.clock import StandingClock


@pytest.fixture
def clock() -> StandingClock:
    """A clock that is advanced by runs."""
    return StandingClock()


@pytest.fixture
def taking(tmp_path: Path, clock: StandingClock) -> Callable[[str, int, float], Runs]:
    """Make runs with a number of records that take a number of seconds each."""
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
    """Both kinds of runs may have different numbers of records."""
    found = measure_rounds(
        taking("split", 10, 0.5),
        taking("monolith", 100, 1.0),
        is_open=lambda _: False,
        budget_s=1.0,
        clock=clock,
    )

    assert found.rounds == 12
    assert found.ratio.low == pytest.approx(5)
    assert found.ratio.low <= found.ratio.value <= found.ratio.high
    assert found.noise_floor == pytest.approx(1)
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
    """There are looks after 12, 24 and 48 rounds."""
    seen: list[int] = []

    def is_open(found: MeasuredRatio) -> bool:
        seen.append(found.rounds)
        return found.rounds < settled

    runs = taking("a", 1, 0.5), taking("b", 1, 0.5)
    found = measure_rounds(*runs, is_open=is_open, budget_s=budget_s, clock=clock)

    assert seen == rounds
    assert found.rounds == rounds[-1]


def test_no_round_is_added_beyond_the_budget(
    taking: Callable[[str, int, float], Runs], clock: StandingClock
) -> None:
    """The 12 rounds of the first look always run: four runs of 0.5 s each."""
    runs = taking("a", 1, 0.5), taking("b", 1, 0.5)

    some = measure_rounds(*runs, is_open=lambda _: True, budget_s=33.0, clock=clock)
    none = measure_rounds(*runs, is_open=lambda _: True, budget_s=1.0, clock=clock)

    # Four more runs have sized the samples.
    assert some.rounds == 15
    assert none.rounds == 12
