"""Fit the cost of a batch and the cost of a record to runs at several batch sizes.

The model is: seconds per record = record_s + batch_s / batch size. In a larger batch,
more records share the cost of the batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError

#: A batch size is good if its throughput is at most this fraction below the best.
TOLERANCE = 0.1
#: With a lower confidence, the rounds are too few to tell.
SURE = 0.8
#: Of the bootstrap intervals.
CONFIDENCE_LEVEL = 0.95

_RESAMPLES = 2000
_SEED = 1

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % bootstrap interval, widened to include the value."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SizeCost:
    """Seconds per record at one batch size."""

    size: int
    #: The median of the rounds.
    measured_s: Estimate
    fitted_s: float

    @property
    def misfit(self) -> float:
        """Measured over fitted seconds, minus 1: 0.2 is 20 % slower than the fit."""
        return self.measured_s.value / self.fitted_s - 1


@dataclass(frozen=True)
class BatchCost:
    """The fit, and the batch size that it recommends.

    A size is good if its throughput is within 10 % of the best. The best is the highest
    measured throughput, but at most that of the fit at the largest good size measured,
    so that one lucky run does not raise it.
    """

    per_batch_s: Estimate
    per_record_s: Estimate
    #: Every measured size, in ascending order.
    curve: tuple[SizeCost, ...]
    #: The largest size that was measured as good. Larger sizes were slower for reasons
    #: outside the model, such as CPU caches. They are not fitted and not recommended.
    fitted_to: int
    #: The smallest good size by the fit, at least the smallest and at most the fastest
    #: measured size.
    knee: int
    #: The first good size from the knee on among 1, 2, 5, 10, 20, 50 and so on, judged
    #: by the measured sizes; at most ``fitted_to``.
    recommended: int
    #: The share of resamples of the rounds in which the recommended size is good. Here
    #: and above, sizes between two measured ones are interpolated.
    confidence: float

    def seconds_at(self, size: int) -> float:
        """Return the seconds per record by the fit."""
        return self.per_record_s.value + self.per_batch_s.value / size

    def throughput_at(self, size: int) -> float:
        """Return the records per second by the fit."""
        return 1 / self.seconds_at(size)

    def batch_share_at(self, size: int) -> float:
        """Return the share of the time that the cost of batches takes, by the fit."""
        return self.per_batch_s.value / size / self.seconds_at(size)

    @cached_property
    def best(self) -> SizeCost:
        """The fastest measured size."""
        return min(self.curve, key=lambda cost: cost.measured_s.value)

    @cached_property
    def worst_fit(self) -> SizeCost | None:
        """The fitted size with the largest misfit.

        Sizes whose interval includes the fit don't count; None if there are no others.
        """
        missed = [
            cost
            for cost in self.curve
            if cost.size <= self.fitted_to
            and not cost.measured_s.low <= cost.fitted_s <= cost.measured_s.high
        ]
        return max(missed, key=lambda cost: abs(cost.misfit), default=None)


def fit(rounds: Sequence[Mapping[int, float]]) -> BatchCost:
    """Fit the model to rounds of measurements.

    The fit is to the median of each size over the rounds, and minimises the relative
    errors, since seconds per record span decades. The intervals and the confidence come
    from resampling whole rounds with a fixed seed; those of a single round have no
    width.

    Args:
        rounds: Seconds per record by batch size. All rounds have the same sizes.

    Raises:
        UsageError: There is no round, there are fewer than two sizes, the sizes of two
            rounds differ, or a size or a time is not positive and finite.
    """
    sizes = _checked_sizes(rounds)
    seconds = np.array([[taken[size] for size in sizes] for taken in rounds])
    shares = 1 / np.array(sizes, dtype=np.float64)

    middle = _Fit(np.median(seconds, axis=0, keepdims=True), shares)
    draws = np.random.default_rng(_SEED).integers(
        len(rounds), size=(_RESAMPLES, len(rounds))
    )
    resampled = _Fit(np.median(seconds[draws], axis=1), shares)

    record_s, batch_s = float(middle.record_s[0]), float(middle.batch_s[0])
    fitted_to = sizes[int(middle.last_good[0])]
    allowed_s = float(middle.allowed_s[0])
    # The factor keeps rounding errors from raising an exact knee by one.
    knee = int(np.ceil(batch_s / (allowed_s - record_s) * (1 - 1e-9)))
    best = sizes[int(middle.medians_s[0].argmin())]
    knee = min(max(knee, sizes[0]), best)
    recommended = next(
        (
            size
            for size in _round_sizes(knee, fitted_to)
            if middle.between(1 / size)[0] <= allowed_s
        ),
        fitted_to,
    )
    return BatchCost(
        per_batch_s=_interval(batch_s, resampled.batch_s),
        per_record_s=_interval(record_s, resampled.record_s),
        curve=tuple(
            SizeCost(
                size,
                _interval(float(median_s), resampled.medians_s[:, column]),
                fitted_s=record_s + batch_s / size,
            )
            for column, (size, median_s) in enumerate(
                zip(sizes, middle.medians_s[0], strict=True)
            )
        ),
        fitted_to=fitted_to,
        knee=knee,
        recommended=recommended,
        confidence=float(
            np.mean(resampled.between(1 / recommended) <= resampled.allowed_s)
        ),
    )


class _Fit:
    """The model, fitted to every row of medians at once.

    ``medians_s`` has one row a resample and one column a size, in ascending order.
    ``shares`` has 1 / size.
    """

    def __init__(self, medians_s: Floats, shares: Floats) -> None:
        self.medians_s = medians_s
        self._shares = shares
        columns = len(shares)
        best_s = medians_s.min(axis=1)
        good = medians_s <= best_s[:, None] / (1 - TOLERANCE)
        #: The column of the largest good size, by row.
        self.last_good = columns - 1 - good[:, ::-1].argmax(axis=1)
        fitted = np.arange(columns) <= self.last_good[:, None]
        self.record_s, self.batch_s = _least_squares(medians_s, shares, fitted)
        last_s = self.record_s + self.batch_s * shares[self.last_good]
        #: The most seconds per record of a good size, by row.
        self.allowed_s = np.maximum(best_s, last_s) / (1 - TOLERANCE)

    def between(self, share: float) -> Floats:
        """Return the interpolated seconds per record at size 1 / ``share``, by row."""
        # The model is linear in 1 / size.
        right = int(np.clip(np.searchsorted(-self._shares, -share), 1, None))
        left = right - 1
        near, far = self._shares[left], self._shares[right]
        weight = (near - share) / (near - far)
        measured: Floats = (
            self.medians_s[:, left] * (1 - weight) + self.medians_s[:, right] * weight
        )
        return measured


def _least_squares(
    seconds: Floats, shares: Floats, fitted: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Return record_s and batch_s of each row, neither of them negative.

    They minimise the sum of the squared relative errors.
    """
    weights = fitted / seconds**2
    total = weights.sum(axis=1)
    mean_share = weights @ shares / total
    mean_s = (weights * seconds).sum(axis=1) / total
    apart = shares - mean_share[:, None]
    # A single size can't tell the two costs apart: all of it is the record's.
    spread = np.where(fitted.sum(axis=1) > 1, (weights * apart**2).sum(axis=1), np.inf)
    batch_s = np.maximum((weights * apart * seconds).sum(axis=1) / spread, 0)
    record_s = mean_s - batch_s * mean_share
    # If the optimum is out of bounds, the best within them lies on the bound.
    only_batches = (weights * seconds) @ shares / (weights @ shares**2)
    below = record_s < 0
    return np.where(below, 0, record_s), np.where(below, only_batches, batch_s)


def _interval(value: float, resampled: Floats) -> Estimate:
    outside = (1 - CONFIDENCE_LEVEL) / 2
    low, high = np.quantile(resampled, [outside, 1 - outside])
    return Estimate(value, min(float(low), value), max(float(high), value))


def _round_sizes(first: int, end: int) -> Iterator[int]:
    """Yield 1, 2, 5, 10, 20, 50 and so on, from ``first`` to before ``end``."""
    for power in itertools.count():
        for factor in (1, 2, 5):
            size = factor * 10**power
            if size >= end:
                return
            if size >= first:
                yield size


def _checked_sizes(rounds: Sequence[Mapping[int, float]]) -> list[int]:
    """Return the sizes in ascending order, or raise UsageError."""
    if not rounds:
        raise UsageError("the cost of a batch: there is no round to fit it to")
    sizes = sorted(rounds[0])
    if len(sizes) < 2:
        raise UsageError(
            f"the cost of a batch: measured at {len(sizes)} batch size; must be 2 or "
            f"more"
        )
    if sizes[0] < 1:
        raise UsageError(f"batch size {sizes[0]}: must be 1 or more")
    for number, taken in enumerate(rounds, 1):
        if sorted(taken) != sizes:
            raise UsageError(
                f"round {number}: has batch sizes {sorted(taken)}, not those of round "
                f"1, {sizes}"
            )
        for size, seconds in taken.items():
            if not 0 < seconds < float("inf"):
                raise UsageError(
                    f"round {number}, batch size {size}: {seconds} seconds a record; "
                    f"must be above 0"
                )
    return sizes
