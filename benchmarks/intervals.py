"""Compare the error rates of three kinds of bootstrap intervals, on simulated rounds.

Simulates rounds of A B B A where both are equal, and where one is 10 % slower: with
even noise, with spikes, and with a drift. Each interval is computed after 12, 24 and 48
rounds, as `pytest_pipeline.measure.comparison` does, but without the noise floor. It
should claim a difference of equal callables in at most 1 % of the comparisons.

    python benchmarks/intervals.py [--comparisons 400]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pytest_pipeline.measure.estimation import CONFIDENCE, LOOKS, interval

Floats = NDArray[np.float64]
Ends = tuple[float, float]

_SLOWDOWN = np.log(1.1)


def rounds(random: np.random.Generator, noise: str) -> Floats:
    """Return the log-ratios of 48 rounds of two equal callables."""
    samples = random.normal(0, 0.03, (LOOKS[-1], 4))
    if noise != "even":
        spikes = random.random(samples.shape) < 0.08
        samples += spikes * random.exponential(0.3, samples.shape)
    if noise == "drift":
        samples += np.cumsum(random.normal(0, 0.01, samples.size)).reshape(-1, 4)
    a, b, b_again, a_again = samples.T
    ratios: Floats = (b + b_again - a - a_again) / 2
    return ratios


def trimmed_mean(values: Floats, axis: int = -1) -> Any:
    """Return the mean that comparisons use."""
    return stats.trim_mean(values, 0.2, axis=axis)


def scipy_bootstrap(method: Literal["percentile", "BCa"]) -> Callable[[Floats], Ends]:
    """Return the interval of scipy's bootstrap of the same mean."""

    def ends(ratios: Floats) -> Ends:
        found = stats.bootstrap(
            (ratios,),
            trimmed_mean,
            confidence_level=1 - (1 - CONFIDENCE) / len(LOOKS),
            method=method,
            vectorized=True,
            rng=np.random.default_rng(1),
        ).confidence_interval
        return float(found.low), float(found.high)

    return ends


def comparison_interval(ratios: Floats) -> Ends:
    """Return the interval that comparisons use."""
    found = interval(ratios, looks=len(LOOKS))
    return float(np.log(found.low)), float(np.log(found.high))


def claims(ratios: Floats, ends: Callable[[Floats], Ends]) -> bool:
    """Return whether a difference is claimed at any look."""
    for look in LOOKS:
        low, high = ends(ratios[:look])
        if low > 0 or high < 0:
            return True
    return False


def main() -> None:
    """Simulate, and print how often each interval claims a difference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--comparisons", type=int, default=400)
    count = parser.parse_args().comparisons
    kinds = {
        "percentile": scipy_bootstrap("percentile"),
        "BCa": scipy_bootstrap("BCa"),
        "widened percentile (used here)": comparison_interval,
    }
    for name, ends in kinds.items():
        for noise in ("even", "spikes", "drift"):
            random = np.random.default_rng(1)
            simulated = [rounds(random, noise) for _ in range(count)]
            same = np.mean([claims(ratios, ends) for ratios in simulated])
            slower = np.mean(
                [claims(ratios + _SLOWDOWN, ends) for ratios in simulated[: count // 4]]
            )
            print(
                f"{name}, {noise}: claimed of the same {same:.2%}, of 10 % more "
                f"{slower:.0%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
