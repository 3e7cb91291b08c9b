"""Which interval is honest: how often does each claim a difference that is not there?

Rounds of A B B A are simulated, of the same twice and of one that is 10 % slower: with
even noise, with spikes, and with a drift. Each kind of bootstrap looks at them after
12, 24 and 48 rounds, as `pytest_pipeline.measure.comparison` does, without its A/A
floor, and may claim a difference in 1 % of the comparisons in all.

    python benchmarks/intervals.py [--comparisons 400]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pytest_pipeline.measure.comparison import CONFIDENCE, LOOKS, interval

Floats = NDArray[np.float64]
Ends = tuple[float, float]

_SLOWDOWN = np.log(1.1)


def rounds(random: np.random.Generator, noise: str) -> Floats:
    """Return the log-ratios of as many rounds as there may be, of the same twice."""
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
    """Return the mean that comparisons take, too."""
    return stats.trim_mean(values, 0.2, axis=axis)


def scipys(method: Literal["percentile", "BCa"]) -> Callable[[Floats], Ends]:
    """Return a bootstrap of scipy's own, of the same mean."""

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


def ours(ratios: Floats) -> Ends:
    """Return the interval that comparisons have."""
    found = interval(ratios, looks=len(LOOKS))
    return float(np.log(found.low)), float(np.log(found.high))


def claims(ratios: Floats, ends: Callable[[Floats], Ends]) -> bool:
    """Say whether a difference is claimed at any look."""
    for look in LOOKS:
        low, high = ends(ratios[:look])
        if low > 0 or high < 0:
            return True
    return False


def main() -> None:
    """Simulate, and print how many of each claim a difference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--comparisons", type=int, default=400)
    count = parser.parse_args().comparisons
    kinds = {
        "percentile": scipys("percentile"),
        "BCa": scipys("BCa"),
        "widened percentile (ours)": ours,
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
