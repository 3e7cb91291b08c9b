"""A ratio is judged by both intervals, and by the direction that is worse."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_pipeline.measure.ratios.baseline import Ratio
from pytest_pipeline.measure.ratios.judging import TOLERANCE, RatioVerdict, judge_ratio
from tests.measure.ratios.conftest import found

WAS = Ratio(1.9, 2.0, 2.1)
LIMIT = 2.1 * (1 + TOLERANCE)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (1.9, 2.1, "ok"),
        (2.2, LIMIT, "ok"),
        (1.6, 2.2, "ok"),
        (LIMIT * 0.99, LIMIT * 1.2, "inconclusive"),
        (1.0, LIMIT * 1.01, "inconclusive"),
        (LIMIT, LIMIT * 1.2, "inconclusive"),
        (LIMIT * 1.01, LIMIT * 1.2, "worse"),
        (1.0, 1.51, "improved"),
        (1.0, 1.53, "ok"),
    ],
)
def test_a_cost_is_worse_if_its_interval_is_beyond_the_tolerance(
    low: float, high: float, verdict: RatioVerdict
) -> None:
    """The ends of both intervals that are nearest to each other count."""
    judged = judge_ratio("split", WAS, found(low, high, high), is_speedup=False)

    assert judged.verdict == verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (1.9, 2.1, "ok"),
        (1.53, 1.6, "ok"),
        (1.5, 1.6, "inconclusive"),
        (1.2, 1.51, "worse"),
        (2.63, 3.0, "improved"),
    ],
)
def test_a_speedup_is_worse_if_it_falls(
    low: float, high: float, verdict: RatioVerdict
) -> None:
    """The tolerance is the same as for a cost that rises."""
    judged = judge_ratio("speedup", WAS, found(low, high, high), is_speedup=True)

    assert judged.verdict == verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(4.0, 4.4, "inconclusive"), (4.5, 5.0, "worse"), (1.0, 1.2, "ok")],
)
def test_nothing_is_claimed_within_the_noise_floor(
    low: float, high: float, verdict: RatioVerdict
) -> None:
    """Within the noise floor a ratio is neither worse nor improved."""
    judged = judge_ratio(
        "split", WAS, found(low, high, high, noise_floor=2.1), is_speedup=False
    )

    assert judged.verdict == verdict


@pytest.mark.parametrize("value", [0.5, 2.0, 8.0])
def test_on_a_crowded_machine_nothing_is_claimed(value: float) -> None:
    """If others use much of the CPU, the verdict is inconclusive."""
    seen = replace(found(value, value, value), used=0.834)

    judged = judge_ratio("split", WAS, seen, is_speedup=False)

    assert judged.verdict == "inconclusive"
    assert "and others use 83% of the CPU: inconclusive" in str(judged)


def test_a_verdict_shows_its_evidence() -> None:
    """One line has both intervals, the rounds and the noise floor."""
    judged = judge_ratio(
        "split to its floor", WAS, found(3, 3.1, 3.2), is_speedup=False
    )

    assert str(judged) == (
        "split to its floor: 3.1 (3 to 3.2), baseline 2 (1.9 to 2.1); 12 rounds, "
        "A/A 1.000: worse"
    )
    ok = judge_ratio(
        "split to its floor", WAS, found(2, 2, 2, noise_floor=1.0123), is_speedup=True
    )
    assert str(ok).endswith("; 12 rounds, A/A 1.012")
