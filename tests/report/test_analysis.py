"""The cost of the split, the knee and the crossover, from results."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pipeline.tuning.cost import fit
from pytest_pipeline.measure.results import Measured, Session, Variant
from pytest_pipeline.report.analysis import (
    Batching,
    batchings,
    cost,
    crossover,
    distrust,
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
        "record by record the split runs 2,251/s and the monolith 42,828/s, 19 (18 "
        "to 20) times as many; 91% of the split's CPU is IPC"
    )


def test_win_names_the_batch_size_that_wins_and_the_one_to_use() -> None:
    """Each number has its interval."""
    assert win(events(session())) == (
        "batch size 50, where the split is 2.08 (1.95 to 2.21) times as fast as the "
        "monolith record by record; use batch size 2,000, within 10% of the best in "
        "100% of resamples"
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


def test_win_says_if_rounds_overlap_the_monolith() -> None:
    """Neither that a batch size wins nor that none does is proved."""
    made = of_speeds(split={1: 10, 10: 100}, monolith={1: 100})

    assert (win(made) or "").startswith("can't tell whether a batch size makes")


@pytest.mark.parametrize(
    "split",
    [{1: 10, 10: 89, 100: 100}, {1: 10, 10: 95, 100: 100}, {1: 10, 10: 100, 100: 95}],
)
def test_the_batch_size_to_use_is_the_one_of_tune(split: dict[int, float]) -> None:
    """Both come from one fit to the same rounds."""
    seconds = [
        {size: 1 / rounds(per_s)[at] for size, per_s in split.items()}
        for at in range(7)
    ]

    made = of_speeds(split=split)

    assert made.recommended == fit(seconds).recommended


def test_rounds_that_spread_widely_recommend_no_batch_size() -> None:
    """The sentence says that it can't tell."""
    made = of_speeds(split={1: 10, 10: 100, 100: 100})
    for size, per_s in ((10, [40, 60, 80, 100, 120, 140]), (100, [140, 120, 100, 60])):
        measured = made.by_variant["split"][size]
        made.by_variant["split"][size] = replace(
            measured, throughput_per_s=[float(one) for one in per_s]
        )

    assert made.recommended is None
    assert (win(made) or "").startswith("can't tell which one to use: batch size ")


@pytest.mark.parametrize("split", [{10: 100.0}, {}])
def test_fewer_than_two_batch_sizes_recommend_none(split: dict[int, float]) -> None:
    """There is nothing to compare."""
    assert of_speeds(split=split).recommended is None
    assert win(of_speeds(split=split)) is None


def test_cost_says_if_rounds_overlap() -> None:
    """No ratio is stated."""
    made = of_speeds(split={1: 100}, monolith={1: 101})

    assert (cost(made) or "").startswith("can't tell: record by record the split runs")


def test_without_a_monolith_there_is_no_cost() -> None:
    """A batch size is recommended all the same."""
    made = of_speeds(split={1: 10, 10: 100})

    assert cost(made) is None
    assert (win(made) or "").startswith("use batch size 10, within 10% of the best")


@pytest.mark.parametrize(
    ("test", "events_trusted", "logs_trusted"),
    [
        ("test_split[events-10]", False, True),
        ("test_floor[logs-1]", True, False),
        ("test_monolith[mixed-1]", True, True),
        ("test_transport[unix-1]", False, False),
        ("test_batching_is_worth_it", False, False),
    ],
)
def test_a_workload_with_a_failed_test_has_no_answers(
    test: str, events_trusted: bool, logs_trusted: bool
) -> None:
    """A failure that names no workload may be of any."""
    of = replace(
        session(batching("events"), batching("logs")), failures=[(test, "differs")]
    )

    assert bool(distrust(of, "events")) is not events_trusted
    assert bool(distrust(of, "logs")) is not logs_trusted
    assert distrust(replace(of, failures=[]), "events") == ""


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
