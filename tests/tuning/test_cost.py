"""What a batch and a record cost, and the batch size that follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.tuning.cost import TOLERANCE, Interval, fit

SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
ROUND_SIZES = {factor * 10**power for factor in (1, 2, 5) for power in range(7)}


def costs(
    batch_s: float, record_s: float, sizes: Sequence[int] = SIZES
) -> dict[int, float]:
    """Return a round as the model has it."""
    return {size: record_s + batch_s / size for size in sizes}


def noisy(
    taken: Mapping[int, float], rounds: int, noise: float, seed: int = 1
) -> list[dict[int, float]]:
    """Return so many rounds, each time off by some such fraction."""
    random = Random(seed)  # noqa: S311 - made up, not secret
    return [
        {size: s * random.lognormvariate(0, noise) for size, s in taken.items()}
        for _ in range(rounds)
    ]


@given(st.floats(1e-7, 1e-1), st.floats(1e-9, 1e-1))
def test_what_a_batch_and_a_record_cost_is_found(
    batch_s: float, record_s: float
) -> None:
    """From an exact curve exactly, each so far as it can be seen beside the other."""
    cost = fit([costs(batch_s, record_s)] * 3)

    assert cost.per_batch_s.value == pytest.approx(
        batch_s, rel=1e-6, abs=record_s * 1e-9
    )
    assert cost.per_record_s.value == pytest.approx(
        record_s, rel=1e-6, abs=batch_s * 1e-9
    )
    assert all(abs(point.misfit) < 1e-6 for point in cost.curve)


@given(
    batch_s=st.floats(0, 1e-1),
    record_s=st.floats(1e-9, 1e-1),
    sizes=st.lists(st.integers(1, 100_000), min_size=2, max_size=12, unique=True),
)
def test_the_knee_is_the_smallest_size_within_ten_per_cent_of_the_best(
    batch_s: float, record_s: float, sizes: list[int]
) -> None:
    """Of an exact curve: one record fewer in a batch would be too slow."""
    taken = costs(batch_s, record_s, sizes)
    cost = fit([taken])

    best = 1 / min(taken.values())
    assert cost.throughput_at(cost.knee) >= best * (1 - TOLERANCE) * (1 - 1e-6)
    if cost.knee > min(sizes):
        assert cost.throughput_at(cost.knee - 1) <= best * (1 - TOLERANCE) * (1 + 1e-6)


@given(
    rounds=st.lists(
        st.fixed_dictionaries(
            dict.fromkeys((1, 3, 10, 100, 3000), st.floats(1e-9, 10.0))
        ),
        min_size=1,
        max_size=4,
    )
)
def test_whatever_was_measured_the_answer_is_one_that_can_be_used(
    rounds: list[dict[int, float]],
) -> None:
    """Costs are not negative, and the size is round and was not measured as slow."""
    cost = fit(rounds)

    for point in (cost.per_batch_s, cost.per_record_s):
        assert 0 <= point.low <= point.value <= point.high
    assert 1 <= cost.knee <= cost.recommended <= cost.fitted_to <= 3000
    assert cost.recommended in ROUND_SIZES | {cost.fitted_to}
    assert 0 <= cost.confidence <= 1
    last_good = next(point for point in cost.curve if point.size == cost.fitted_to)
    best_s = cost.best.measured_s.value
    assert last_good.measured_s.value <= best_s / (1 - TOLERANCE)


def test_the_knee_of_a_curve_that_saturates_is_rounded_up() -> None:
    """As worked out by hand: a batch costs 99 records, and 900 of them is the knee."""
    cost = fit([costs(99.0, 1.0, (1, 10, 100, 1000, 10_000, 10_000_000))])

    # 99 / size is a ninth of a record at 891; the best is a millionth off.
    assert cost.knee == pytest.approx(891, abs=1)
    assert (cost.recommended, cost.confidence) == (1000, 1.0)
    assert cost.batch_share_at(1) == pytest.approx(0.99)
    assert cost.throughput_at(99) == pytest.approx(0.5)


def test_where_a_record_is_all_that_costs_the_smallest_size_does() -> None:
    """A flat curve, and one that rises by what is within ten per cent."""
    flat = fit([dict.fromkeys(SIZES, 0.011)] * 5)
    nearly = fit([costs(0.0004, 0.011)] * 5)

    for cost in (flat, nearly):
        assert (cost.knee, cost.recommended, cost.confidence) == (1, 1, 1.0)
    assert flat.per_batch_s.value == pytest.approx(0, abs=1e-12)
    assert nearly.per_batch_s.value == pytest.approx(0.0004)


def test_a_curve_that_still_rises_at_its_end_has_its_knee_near_the_end() -> None:
    """The size stays among those measured, and messages still have their share."""
    cost = fit([costs(1.0, 0.0001, (1, 10, 100))])

    assert (cost.knee, cost.recommended) == (90, 100)
    assert cost.batch_share_at(100) > 0.9


def test_where_only_batches_cost_a_record_counts_as_nothing() -> None:
    """A curve steeper than the model can be is no reason for a negative cost."""
    cost = fit([{size: 1.0 / size**1.1 for size in (1, 10, 100)}])

    assert cost.per_record_s.value == 0
    # x · Σ size^0.2 = Σ size^0.1 makes the relative errors the least.
    assert cost.per_batch_s.value == pytest.approx(0.7542, abs=1e-4)


def test_where_larger_batches_are_slower_the_best_measured_counts() -> None:
    """Sizes past it are neither fitted nor recommended."""
    taken = costs(400e-6, 1e-6)
    taken |= {size: taken[size] * 1.5 for size in (2000, 5000, 10_000)}
    cost = fit([taken])

    assert (cost.fitted_to, cost.best.size) == (1000, 1000)
    assert cost.per_batch_s.value == pytest.approx(400e-6)
    assert cost.per_record_s.value == pytest.approx(1e-6)
    # 400 / size + 1 is 1.4 / 0.9 µs.
    assert (cost.knee, cost.recommended) == (720, 1000)
    assert cost.curve[-1].misfit == pytest.approx(0.5)


def test_nothing_larger_than_the_best_measured_is_recommended() -> None:
    """Though the fit, which sees on average, has its knee further on."""
    taken = costs(400e-6, 1e-6)
    taken[1000] *= 0.7
    cost = fit([taken])

    assert cost.fitted_to == 10_000
    assert cost.throughput_at(cost.knee) < 0.9 / taken[1000]
    assert (cost.best.size, cost.knee, cost.recommended) == (1000, 1000, 1000)


def test_one_size_that_was_lucky_does_not_set_the_mark() -> None:
    """Where all others are the same, the smallest of them is still good."""
    taken = dict.fromkeys(SIZES, 1.0) | {10_000: 0.88}
    cost = fit([taken])

    assert cost.best.size == 10_000
    assert (cost.recommended, cost.confidence) == (1, 1.0)


def test_where_all_larger_batches_are_slower_the_smallest_is_recommended() -> None:
    """With one good size there is no telling what a batch costs."""
    cost = fit([{1: 1.0, 10: 2.0, 100: 3.0}])

    assert (cost.fitted_to, cost.knee, cost.recommended) == (1, 1, 1)
    assert (cost.per_batch_s.value, cost.per_record_s.value) == (0, 1)


def test_a_size_that_was_measured_as_slow_is_not_recommended() -> None:
    """Whatever the fit says of it: the next round size is that was measured as good."""
    exact = costs(400e-6, 1e-6)
    assert fit([exact]).recommended == 5000

    cost = fit([exact | {5000: exact[5000] * 1.2}])

    assert cost.knee < 5000
    assert (cost.recommended, cost.confidence) == (10_000, 1.0)


def test_a_round_size_that_was_not_measured_is_judged_between_its_neighbours() -> None:
    """In 1 / size, in which the model is a straight line."""
    exact = costs(4.0, 1.0, (1, 30, 60, 100_000))

    assert fit([exact]).recommended == 50
    # The line from 1.3 at 60 to 1 is at 1.18 at 100, and at 1.09 at 200.
    assert fit([exact | {60: 1.3}]).recommended == 200


def test_the_worst_fit_is_where_the_fit_is_furthest_from_what_was_measured() -> None:
    """Not where the rounds differ so much that the fit may well be right."""
    taken = costs(400e-6, 1e-6)
    odd = taken | {50: taken[50] * 1.2, 100: taken[100] * 1.4}
    noisy_at_100 = [odd, odd, odd, odd | {100: taken[100]}, odd | {100: taken[100]}]

    sure, unsure = fit([odd] * 5).worst_fit, fit(noisy_at_100).worst_fit

    assert sure is not None
    assert sure.size == 100
    assert sure.misfit == pytest.approx(0.4, abs=0.05)
    assert unsure is not None
    assert unsure.size == 50


def test_a_fit_that_is_inside_all_intervals_has_no_worst_place() -> None:
    """Rounds that differ around it are no fault of the model."""
    taken = costs(400e-6, 1e-6)
    rounds = [{size: off * s for size, s in taken.items()} for off in (0.8, 1.2)]

    assert fit(rounds).worst_fit is None


def test_one_round_that_was_disturbed_changes_nothing() -> None:
    """The median of each size counts."""
    quiet = costs(400e-6, 1e-6)
    disturbed = {size: seconds * 20 for size, seconds in quiet.items()}
    cost = fit([quiet, quiet, disturbed, quiet, quiet])

    assert cost.per_batch_s.value == pytest.approx(400e-6)
    assert cost.per_record_s.value == pytest.approx(1e-6)
    assert cost.recommended == fit([quiet]).recommended


def test_the_intervals_hold_what_is_true_most_of_the_time() -> None:
    """In about 95 of 100 sweeps on a machine whose runs are off by a tenth or so."""
    sweeps = [fit(noisy(costs(400e-6, 1e-6), 7, 0.1, seed)) for seed in range(40)]

    for intervals, true in (
        ([cost.per_batch_s for cost in sweeps], 400e-6),
        ([cost.per_record_s for cost in sweeps], 1e-6),
    ):
        held = sum(interval.low <= true <= interval.high for interval in intervals)
        assert 35 <= held <= 40
        # That takes no more than a fifth of the value.
        assert all(
            interval.high - interval.low < 0.2 * interval.value
            for interval in intervals
        )


def test_more_rounds_make_it_surer() -> None:
    """The intervals become narrower, and the confidence grows."""
    few, many = (fit(noisy(costs(400e-6, 1e-6), rounds, 0.2)) for rounds in (5, 80))

    assert _width(many.per_batch_s) < _width(few.per_batch_s) / 2
    assert _width(many.per_record_s) < _width(few.per_record_s) / 2
    assert few.confidence < 0.9 < many.confidence


def _width(interval: Interval) -> float:
    return interval.high - interval.low


def test_the_same_rounds_give_the_same_answer() -> None:
    """The resamples are the same each time, and the order of the sizes is nothing."""
    rounds = noisy(costs(400e-6, 1e-6), 7, 0.1)
    turned = [dict(reversed(taken.items())) for taken in rounds]

    assert fit(rounds) == fit(rounds) == fit(turned)


def test_the_knee_does_not_depend_on_the_unit_of_time() -> None:
    """A machine that is a thousand times as slow is tuned the same."""
    rounds = noisy(costs(400e-6, 1e-6), 7, 0.1)
    slow = [{size: 1000 * s for size, s in taken.items()} for taken in rounds]

    answers = [
        (cost.knee, cost.recommended, cost.confidence)
        for cost in map(fit, (rounds, slow))
    ]
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("rounds", "message"),
    [
        ([], "there is no round"),
        ([{}], "measured at 0 batch size"),
        ([{1: 1.0}], "measured at 1 batch size; must be 2 or more"),
        ([{0: 1.0, 1: 1.0}], "batch size 0: must be 1 or more"),
        ([{1: 1.0, 2: 0.0}], "round 1, batch size 2: 0.0 seconds a record"),
        ([{1: 1.0, 2: -1.0}], "must be above 0"),
        ([{1: 1.0, 2: float("nan")}], "nan seconds a record"),
        ([{1: 1.0, 2: float("inf")}], "inf seconds a record"),
        (
            [{1: 1.0, 2: 1.0}, {1: 1.0, 3: 1.0}],
            r"round 2: has batch sizes \[1, 3\], not those of round 1, \[1, 2\]",
        ),
    ],
)
def test_what_can_not_be_fitted_is_refused(
    rounds: list[dict[int, float]], message: str
) -> None:
    """With what is wrong, and where."""
    with pytest.raises(UsageError, match=message):
        fit(rounds)
