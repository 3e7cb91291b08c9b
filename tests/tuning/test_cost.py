"""The fit of the costs of a batch and a record, and the recommended batch size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.tuning.cost import TOLERANCE, Estimate, fit

SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
ROUND_SIZES = {factor * 10**power for factor in (1, 2, 5) for power in range(7)}


def costs(
    batch_s: float, record_s: float, sizes: Sequence[int] = SIZES
) -> dict[int, float]:
    """Return a round that follows the model exactly."""
    return {size: record_s + batch_s / size for size in sizes}


def noisy(
    taken: Mapping[int, float], rounds: int, noise: float, seed: int = 1
) -> list[dict[int, float]]:
    """Return rounds whose times are off by about the fraction ``noise``."""
    random = Random(seed)  # noqa: S311 - not for secrets
    return [
        {size: s * random.lognormvariate(0, noise) for size, s in taken.items()}
        for _ in range(rounds)
    ]


@given(st.floats(1e-7, 1e-1), st.floats(1e-9, 1e-1))
def test_the_costs_of_a_batch_and_a_record_are_fitted(
    batch_s: float, record_s: float
) -> None:
    """The fit to an exact curve is exact, up to rounding beside the larger cost."""
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
    """With one record less, a batch on an exact curve would be too slow."""
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
def test_any_measurements_give_a_usable_recommendation(
    rounds: list[dict[int, float]],
) -> None:
    """Costs are not negative; the size is round, or a size measured as good."""
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
    """A batch costs as much as 99 records, so the knee is at 891 records."""
    cost = fit([costs(99.0, 1.0, (1, 10, 100, 1000, 10_000, 10_000_000))])

    # 99 / size is a ninth of a record at 891; the best is a millionth off.
    assert cost.knee == pytest.approx(891, abs=1)
    assert (cost.recommended, cost.confidence) == (1000, 1.0)
    assert cost.batch_share_at(1) == pytest.approx(0.99)
    assert cost.throughput_at(99) == pytest.approx(0.5)


def test_the_smallest_size_is_recommended_if_batches_cost_little() -> None:
    """The curve is flat, or falls by less than the tolerance of ten per cent."""
    flat = fit([dict.fromkeys(SIZES, 0.011)] * 5)
    nearly = fit([costs(0.0004, 0.011)] * 5)

    for cost in (flat, nearly):
        assert (cost.knee, cost.recommended, cost.confidence) == (1, 1, 1.0)
    assert flat.per_batch_s.value == pytest.approx(0, abs=1e-12)
    assert nearly.per_batch_s.value == pytest.approx(0.0004)


def test_the_knee_is_among_the_measured_sizes_if_throughput_still_rises() -> None:
    """At the largest size, batches still take most of the time."""
    cost = fit([costs(1.0, 0.0001, (1, 10, 100))])

    assert (cost.knee, cost.recommended) == (90, 100)
    assert cost.batch_share_at(100) > 0.9


def test_the_cost_of_a_record_is_not_negative() -> None:
    """It is 0 if the curve is steeper than the model allows."""
    cost = fit([{size: 1.0 / size**1.1 for size in (1, 10, 100)}])

    assert cost.per_record_s.value == 0
    # x · Σ size^0.2 = Σ size^0.1 makes the relative errors the least.
    assert cost.per_batch_s.value == pytest.approx(0.7542, abs=1e-4)


def test_sizes_beyond_the_fastest_are_not_fitted_if_they_are_slower() -> None:
    """They are not recommended either."""
    taken = costs(400e-6, 1e-6)
    taken |= {size: taken[size] * 1.5 for size in (2000, 5000, 10_000)}
    cost = fit([taken])

    assert (cost.fitted_to, cost.best.size) == (1000, 1000)
    assert cost.per_batch_s.value == pytest.approx(400e-6)
    assert cost.per_record_s.value == pytest.approx(1e-6)
    # 400 / size + 1 is 1.4 / 0.9 µs.
    assert (cost.knee, cost.recommended) == (720, 1000)
    assert cost.curve[-1].misfit == pytest.approx(0.5)


def test_no_size_larger_than_the_fastest_measured_is_recommended() -> None:
    """Even if the knee of the fit is at a larger size."""
    taken = costs(400e-6, 1e-6)
    taken[1000] *= 0.7
    cost = fit([taken])

    assert cost.fitted_to == 10_000
    assert cost.throughput_at(cost.knee) < 0.9 / taken[1000]
    assert (cost.best.size, cost.knee, cost.recommended) == (1000, 1000, 1000)


def test_one_lucky_measurement_does_not_change_the_recommendation() -> None:
    """The smallest of otherwise equal sizes is still good."""
    taken = dict.fromkeys(SIZES, 1.0) | {10_000: 0.88}
    cost = fit([taken])

    assert cost.best.size == 10_000
    assert (cost.recommended, cost.confidence) == (1, 1.0)


def test_the_smallest_size_is_recommended_if_all_larger_ones_are_slower() -> None:
    """The cost of a batch is 0, since one good size can't tell it."""
    cost = fit([{1: 1.0, 10: 2.0, 100: 3.0}])

    assert (cost.fitted_to, cost.knee, cost.recommended) == (1, 1, 1)
    assert (cost.per_batch_s.value, cost.per_record_s.value) == (0, 1)


def test_a_size_that_was_measured_as_slow_is_not_recommended() -> None:
    """The next round size is, even if the fit calls the slow one good."""
    exact = costs(400e-6, 1e-6)
    assert fit([exact]).recommended == 5000

    cost = fit([exact | {5000: exact[5000] * 1.2}])

    assert cost.knee < 5000
    assert (cost.recommended, cost.confidence) == (10_000, 1.0)


def test_a_size_that_was_not_measured_is_interpolated() -> None:
    """The interpolation is linear in 1 / size, as the model is."""
    exact = costs(4.0, 1.0, (1, 30, 60, 100_000))

    assert fit([exact]).recommended == 50
    # The line from 1.3 at 60 to 1 is at 1.18 at 100, and at 1.09 at 200.
    assert fit([exact | {60: 1.3}]).recommended == 200


def test_the_worst_fit_is_the_size_with_the_largest_misfit() -> None:
    """Sizes whose interval includes the fit don't count."""
    taken = costs(400e-6, 1e-6)
    odd = taken | {50: taken[50] * 1.2, 100: taken[100] * 1.4}
    noisy_at_100 = [odd, odd, odd, odd | {100: taken[100]}, odd | {100: taken[100]}]

    sure, unsure = fit([odd] * 5).worst_fit, fit(noisy_at_100).worst_fit

    assert sure is not None
    assert sure.size == 100
    assert sure.misfit == pytest.approx(0.4, abs=0.05)
    assert unsure is not None
    assert unsure.size == 50


def test_there_is_no_worst_fit_if_the_fit_is_inside_all_intervals() -> None:
    """Rounds that differ on both sides of the fit don't contradict it."""
    taken = costs(400e-6, 1e-6)
    rounds = [{size: off * s for size, s in taken.items()} for off in (0.8, 1.2)]

    assert fit(rounds).worst_fit is None


def test_one_disturbed_round_changes_nothing() -> None:
    """The fit is to the median of each size."""
    quiet = costs(400e-6, 1e-6)
    disturbed = {size: seconds * 20 for size, seconds in quiet.items()}
    cost = fit([quiet, quiet, disturbed, quiet, quiet])

    assert cost.per_batch_s.value == pytest.approx(400e-6)
    assert cost.per_record_s.value == pytest.approx(1e-6)
    assert cost.recommended == fit([quiet]).recommended


def test_the_intervals_cover_the_true_costs_in_most_sweeps() -> None:
    """About 95 % of them do, with 10 % of noise."""
    sweeps = [fit(noisy(costs(400e-6, 1e-6), 7, 0.1, seed)) for seed in range(40)]

    for intervals, true in (
        ([cost.per_batch_s for cost in sweeps], 400e-6),
        ([cost.per_record_s for cost in sweeps], 1e-6),
    ):
        held = sum(interval.low <= true <= interval.high for interval in intervals)
        assert 35 <= held <= 40
        # Their width is less than a fifth of the value.
        assert all(
            interval.high - interval.low < 0.2 * interval.value
            for interval in intervals
        )


def test_more_rounds_narrow_the_intervals() -> None:
    """The confidence in the recommendation grows too."""
    few, many = (fit(noisy(costs(400e-6, 1e-6), rounds, 0.2)) for rounds in (5, 80))

    assert _width(many.per_batch_s) < _width(few.per_batch_s) / 2
    assert _width(many.per_record_s) < _width(few.per_record_s) / 2
    assert few.confidence < 0.9 < many.confidence


def _width(interval: Estimate) -> float:
    return interval.high - interval.low


def test_the_fit_is_deterministic() -> None:
    """The resamples are seeded, and the order of the sizes does not matter."""
    rounds = noisy(costs(400e-6, 1e-6), 7, 0.1)
    turned = [dict(reversed(taken.items())) for taken in rounds]

    assert fit(rounds) == fit(rounds) == fit(turned)


def test_the_recommendation_does_not_depend_on_the_unit_of_time() -> None:
    """A machine that is a thousand times slower gets the same one."""
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
def test_rounds_that_can_not_be_fitted_are_refused(
    rounds: list[dict[int, float]], message: str
) -> None:
    """The message names the round, the size and the defect."""
    with pytest.raises(UsageError, match=message):
        fit(rounds)
