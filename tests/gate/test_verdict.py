"""Verdicts on made-up rounds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from msgspec.structs import astuple

from pytest_pipeline.gate.verdict import BenchmarkResult, PairRounds, judge_benchmark

RATIOS = (1.0, 1.0, 1.0, 1.0)


def pairs_of(
    ratios: Sequence[float],
    *,
    spread: float = 0.01,
    rounds: int = 6,
    turning: float = 0,
) -> list[PairRounds]:
    """Return the rounds of process pairs, one for each ratio of new to old.

    ``turning`` slows down the later samples of every other round, and the earlier
    samples of the rounds between.
    """
    random = np.random.default_rng(5)
    pairs: list[PairRounds] = []
    for ratio in ratios:
        logs = random.normal(0, spread, (rounds, 4))
        logs[:, 1:3] += math.log(ratio)
        logs[::2, 2:] += turning
        logs[1::2, :2] += turning
        pairs.append([tuple(row) for row in logs.tolist()])
    return pairs


def judged(
    pairs: list[PairRounds], threshold: float = 0.05, benchmarks: int = 1
) -> BenchmarkResult:
    """Return the verdict on these rounds."""
    return judge_benchmark(
        "it", pairs, threshold=threshold, benchmarks=benchmarks, looks=3
    )


@pytest.mark.parametrize(
    ("ratios", "verdict", "is_open"),
    [
        ((1.2, 1.2, 1.2, 1.2), "regressed", False),
        ((0.8, 0.8, 0.8, 0.8), "improved", False),
        (RATIOS, "ok", False),
        ((1.03, 1.03, 1.03, 1.03), "ok", False),
        ((1.05, 1.05, 1.05, 1.05), "inconclusive", True),
    ],
)
def test_interval_and_threshold_decide_the_verdict(
    ratios: tuple[float, ...], verdict: str, is_open: bool
) -> None:
    """A change is claimed beyond the threshold, and ruled out below it."""
    found = judged(pairs_of(ratios))

    assert (found.verdict, found.is_open) == (verdict, is_open)
    assert (found.rounds, found.process_pairs) == (24, 4)


def test_the_threshold_depends_on_the_benchmark() -> None:
    """A slowdown of 20 % exceeds 10 %, and not 30 %."""
    pairs = pairs_of([1.2, 1.2, 1.2, 1.2])

    assert judged(pairs, threshold=0.1).verdict == "regressed"
    assert judged(pairs, threshold=0.3).verdict == "ok"


def test_one_process_pair_proves_no_change() -> None:
    """Memory layout may explain even a large change."""
    assert judged(pairs_of([1.5], rounds=12)).verdict == "inconclusive"
    improved = judged(pairs_of([0.5], rounds=12))
    assert (improved.verdict, improved.is_open) == ("ok", True)


def test_a_change_on_which_process_pairs_disagree_is_not_claimed() -> None:
    """Rounds alone would prove it. ``could_see`` says what the pairs would prove."""
    found = judged(pairs_of([1.06, 1.1, 1.6, 1.8], spread=0.001))

    assert found.ratio is not None
    assert found.noise_floor is not None
    assert found.ratio.low > max(1.05, found.noise_floor)
    assert found.verdict == "inconclusive"
    assert found.could_see is not None
    assert found.could_see > 0.5


def test_a_change_below_the_noise_floor_is_not_claimed() -> None:
    """Samples of the same side differ as much."""
    pairs = pairs_of([1.2, 1.2, 1.2, 1.2], turning=0.3)

    found = judged(pairs)

    assert found.noise_floor == pytest.approx(math.exp(0.3), rel=0.02)
    assert found.ratio is not None
    assert found.ratio.low > 1.15
    assert found.verdict == "inconclusive"


def test_the_error_rate_is_shared_among_the_benchmarks() -> None:
    """Each has a wider interval than it would have alone."""
    pairs = pairs_of([1.0, 1.0, 1.0, 1.0])
    alone, of_many = judged(pairs).ratio, judged(pairs, benchmarks=20).ratio

    assert alone is not None
    assert of_many is not None
    assert of_many.low < alone.low < alone.high < of_many.high
    assert of_many.confidence == pytest.approx(0.9995)


def test_the_seconds_of_a_call_are_recorded_for_each_side() -> None:
    """The two samples in the middle of a round are of the new side."""
    # Their logarithms; four samples of each.
    rounds: PairRounds = [(log, log + 10, log + 10, log) for log in range(6)]
    found = judged([rounds, rounds])

    assert found.old_s is not None
    assert found.new_s is not None
    quarters = np.array([0, 1, 2.5, 4, 5])
    assert astuple(found.old_s) == pytest.approx(np.exp(quarters))
    assert astuple(found.new_s) == pytest.approx(np.exp(quarters + 10))


def test_the_smallest_visible_change_depends_on_noise() -> None:
    """It is smaller with less noise, and never below the threshold."""
    quiet = judged(pairs_of(RATIOS, spread=0.001)).could_see
    noisy = judged(pairs_of(RATIOS, spread=0.05)).could_see

    assert quiet is not None
    assert noisy is not None
    assert 0.05 < quiet < 0.06 < noisy
