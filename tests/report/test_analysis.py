"""The cost of the split, the knee and the crossover, from results."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pytest_pipeline.measure.results import Measured, Session, Variant
from pytest_pipeline.report.analysis import (
    Batching,
    batchings,
    cost,
    crossover,
    win,
    works,
)
from tests.report.sessions import batching, rounds, session
from tests.report.sessions import crossover as work_items


def of_speeds(**speeds: dict[int, float]) -> Batching:
    """Return a workload with these throughputs, by variant and batch size."""
    made: dict[Variant, dict[int, Measured]] = {}
    for variant in ("split", "monolith"):
        for size, per_s in speeds.get(variant, {}).items():
            measured = Measured(
                group="batching",
                variant=variant,
                batch_size=size,
                throughput_per_s=rounds(per_s),
            )
            made.setdefault(variant, {})[size] = measured
    return Batching("events", made)


def events(of: Session) -> Batching:
    """Return the first workload of a session."""
    return batchings(of, "batching")[0]


def test_cost_compares_split_and_monolith_record_by_record() -> None:
    """It names both speeds, their ratio, and the IPC share of CPU."""
    assert cost(events(session())) == (
        "record by record the split runs 2,251/s and the monolith 42,828/s, 19 times "
        "as many; 91% of the split's CPU is IPC"
    )


def test_win_names_the_winning_batch_size_and_the_knee() -> None:
    """The split overtakes at 50; above 1,000, larger batches gain 3 %."""
    assert win(events(session())) == (
        "batch size 50, where the split is 2.08 times as fast as the monolith record "
        "by record; the knee is batch size 1,000 (677,786/s), larger ones gain at most "
        "3% more, and there the split runs at 55% of the monolith with the same batches"
    )


def test_a_batch_size_wins_only_if_all_its_rounds_win() -> None:
    """Overlapping rounds of split and monolith prove nothing."""
    made = of_speeds(split={1: 50, 10: 102, 100: 110}, monolith={1: 100})

    assert made.won_back == 100


def test_win_says_if_no_batch_size_wins() -> None:
    """It names no batch size."""
    made = of_speeds(split={1: 10, 10: 50}, monolith={1: 100})

    assert made.won_back is None
    assert (win(made) or "").startswith("no batch size makes the split as fast")


@pytest.mark.parametrize(
    ("split", "knee"),
    [
        ({1: 10, 10: 89, 100: 100}, 100),
        ({1: 10, 10: 91, 100: 100}, 10),
        ({1: 10, 10: 100, 100: 95}, 10),
        ({10: 100}, None),
        ({}, None),
    ],
)
def test_the_knee_is_the_least_batch_size_near_the_best(
    split: dict[int, float], knee: int | None
) -> None:
    """Near means 90 %. A single batch size has no knee."""
    assert of_speeds(split=split).knee == knee


def test_win_says_if_the_knee_is_fastest() -> None:
    """Larger batches may even be slower."""
    made = of_speeds(split={1: 10, 10: 100, 100: 95})

    assert win(made) == "the knee is batch size 10 (100/s), none is faster"


def test_without_a_monolith_there_is_no_cost() -> None:
    """The split has a knee all the same."""
    made = of_speeds(split={1: 10, 10: 100})

    assert cost(made) is None
    assert win(made) == "the knee is batch size 10 (100/s), the largest measured"


def test_the_crossover_is_interpolated() -> None:
    """Between 36 % at 10,000 and 70 % at 50,000 iterations, logarithmically."""
    found = crossover(works(session(work_items())))

    assert found == pytest.approx(10_000 * 5 ** (0.14 / 0.34), rel=1e-3)


def test_points_on_one_side_have_no_crossover() -> None:
    """Processing takes less than half in all of them, or more."""
    assert crossover(works(session(work_items()[:3]))) is None
    assert crossover(works(session(work_items()[4:]))) is None


def test_results_are_grouped_by_workload() -> None:
    """Workloads keep the order in which they were measured."""
    found = batchings(session(batching("events"), batching("logs", 3)), "batching")

    assert [(one.workload, len(one.sizes)) for one in found] == [
        ("events", 7),
        ("logs", 7),
    ]


def test_a_repeated_benchmark_replaces_the_first() -> None:
    """A benchmark that ran twice has one point in a chart."""
    name, first = batching()[0]
    again = replace(first, throughput_per_s=rounds(5_000))

    found = events(session([(name, first), (name, again)]))

    assert found.of("split")[1].value == 5_000
