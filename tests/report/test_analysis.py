"""What a session says of cost, knee and crossover."""

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
    """Return a workload with these records per second, by variant and batch size."""
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


def test_the_cost_is_the_split_against_the_monolith_record_by_record() -> None:
    """Both speeds, their ratio, and how much of the CPU was IPC."""
    assert cost(events(session())) == (
        "record by record the split runs 2,251/s and the monolith 42,828/s, 19 times "
        "as many; 91% of the split's CPU is IPC"
    )


def test_the_win_names_the_batch_size_and_the_knee() -> None:
    """Where the split overtakes, and where larger batches gain no more."""
    assert win(events(session())) == (
        "batch size 50, where the split is 2.08 times as fast as the monolith record "
        "by record; the knee is batch size 1,000 (677,786/s), larger ones gain at most "
        "3% more, and there the split runs at 55% of the monolith with the same batches"
    )


def test_a_batch_size_wins_only_if_its_slowest_round_does() -> None:
    """Rounds of split and monolith that overlap prove nothing."""
    made = of_speeds(split={1: 50, 10: 102, 100: 110}, monolith={1: 100})

    assert made.won_back == 100


def test_a_split_that_never_wins_is_said_to_lose() -> None:
    """No batch size is named."""
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
    """Near is nine tenths; of one batch size alone there is no knee."""
    assert of_speeds(split=split).knee == knee


def test_a_knee_that_nothing_beats_is_said_to_be_the_fastest() -> None:
    """Larger batches may even be slower."""
    made = of_speeds(split={1: 10, 10: 100, 100: 95})

    assert win(made) == "the knee is batch size 10 (100/s), none is faster"


def test_without_a_monolith_there_is_no_cost() -> None:
    """There is nothing to hold the split against, but its knee is still known."""
    made = of_speeds(split={1: 10, 10: 100})

    assert cost(made) is None
    assert win(made) == "the knee is batch size 10 (100/s), the largest measured"


def test_the_crossover_lies_where_processing_takes_half() -> None:
    """Between 36 % at 10,000 and 70 % at 50,000 iterations, on a log axis."""
    found = crossover(works(session(work_items())))

    assert found == pytest.approx(10_000 * 5 ** (0.14 / 0.34), rel=1e-3)


def test_without_a_crossing_there_is_no_crossover() -> None:
    """All points on one side say only on which."""
    assert crossover(works(session(work_items()[:3]))) is None
    assert crossover(works(session(work_items()[4:]))) is None


def test_workloads_are_told_apart() -> None:
    """Each has its own batch sizes, in the order in which they were measured."""
    found = batchings(session(batching("events"), batching("logs", 3)), "batching")

    assert [(one.workload, len(one.sizes)) for one in found] == [
        ("events", 7),
        ("logs", 7),
    ]


def test_the_last_of_two_of_a_kind_counts() -> None:
    """A benchmark that ran twice has one place in a chart."""
    name, first = batching()[0]
    again = replace(first, throughput_per_s=rounds(5_000))

    found = events(session([(name, first), (name, again)]))

    assert found.of("split")[1].value == 5_000
