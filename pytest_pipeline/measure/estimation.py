"""Estimate a ratio, its confidence interval and its noise floor from rounds.

The ratio is the trimmed mean of the rounds' log-ratios. Its interval is a bootstrap,
widened for few rounds as Hesterberg does ("What Teachers Should Know about the
Bootstrap", 2015, section 4.1.3). The noise floor is the A/A ratio of the same rounds:
what two samples of the same callable differ by.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pipeline.errors import UsageError
from pytest_pipeline.measure.results import Interval

#: Numbers of rounds after which an answer is looked for.
LOOKS = (12, 24, 48)
CONFIDENCE = 0.99

_TRIMMED = 0.2
_RESAMPLES = 9999
# Standard errors from the mean beyond which 9,999 draws give no usable percentile.
_REACH = 3.5


def interval(
    log_ratios: Sequence[float] | NDArray[np.float64],
    *,
    confidence: float = CONFIDENCE,
    looks: int = 1,
) -> Interval:
    """Return the ratio of paired rounds, with its confidence interval.

    Args:
        log_ratios: The natural logarithm of each round's ratio, 12 or more.
        confidence: Probability that the interval holds the ratio.
        looks: How often the question is asked while rounds are added. Each look gets
            an equal share of the error that ``confidence`` leaves.

    Raises:
        UsageError: There are fewer than 12 rounds.
    """
    values = np.asarray(log_ratios, dtype=np.float64)
    rounds = len(values)
    if rounds < LOOKS[0]:
        raise UsageError(f"interval of {rounds} rounds: needs {LOOKS[0]} or more")
    tail = (1 - confidence) / 2 / looks
    # A percentile bootstrap is too narrow for few rounds, by the factor by which
    # Student's t is wider than the normal distribution.
    wide = stats.t.ppf(1 - tail, rounds - 1) * math.sqrt(rounds / (rounds - 1))
    reach = min(wide, _REACH)
    found = stats.bootstrap(
        (values,),
        trimmed_mean,
        confidence_level=1 - 2 * stats.norm.cdf(-reach),
        n_resamples=_RESAMPLES,
        method="percentile",
        vectorized=True,
        # Equal rounds give equal intervals.
        rng=np.random.default_rng(rounds),
    ).confidence_interval
    value = trimmed_mean(values)
    # Beyond the reach of the draws, as where many questions share one error, each end
    # is extrapolated as for a normal distribution.
    return Interval(
        low=math.exp(value + (found.low - value) * wide / reach),
        value=math.exp(value),
        high=math.exp(value + (found.high - value) * wide / reach),
        confidence=confidence,
    )


def paired_ratio(one: Sequence[float], other: Sequence[float]) -> Interval:
    """Return the ratio of ``one`` to ``other``, with its confidence interval.

    Args:
        one: A value of each round, 12 or more, each above 0.
        other: The values of the same rounds.
    """
    return interval(
        [math.log(mine / theirs) for mine, theirs in zip(one, other, strict=True)]
    )


def log_ratios(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithm of B's time divided by A's, of each round.

    Args:
        logs: `Rounds.logs`, of shape (rounds, 4).
    """
    ratios: NDArray[np.float64] = (
        logs[:, 1] + logs[:, 2] - logs[:, 0] - logs[:, 3]
    ) / 2
    return ratios


def noise_floor(logs: NDArray[np.float64]) -> float:
    """Return the A/A ratio: of each round's second samples to its first, 1 or more.

    Every other round is inverted, so that a drift cancels out.

    Args:
        logs: `Rounds.logs`, of shape (rounds, 4).
    """
    signs = np.where(np.arange(len(logs)) % 2, -1.0, 1.0)
    halves = (logs[:, 2] + logs[:, 3] - logs[:, 0] - logs[:, 1]) / 2
    return math.exp(abs(trimmed_mean(halves * signs)))


def trimmed_mean(values: NDArray[np.float64], axis: int = -1) -> Any:
    """Return the mean without a fifth of the values at either end."""
    return stats.trim_mean(values, _TRIMMED, axis=axis)
