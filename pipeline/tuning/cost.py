"""What a batch costs and what a record costs, from runs at several batch sizes.

The model: seconds per record = record_s + batch_s / batch size. The larger the batch,
the more records share its cost, until what is left is the record's own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError

#: How far below the best throughput a batch size may be and still be good.
TOLERANCE = 0.1
#: What the intervals hold their value with.
INTERVAL = 0.95

_RESAMPLES = 2000
_SEED = 1

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A value, and from where to where 95 % of the resamples have it.

    The value is never outside.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SizeCost:
    """Seconds per record at one batch size."""

    size: int
    #: The median of the rounds.
    measured_s: Interval
    fitted_s: float

    @property
    def misfit(self) -> float:
        """How much longer a record took than the fit says, as a fraction of that."""
        return self.measured_s.value / self.fitted_s - 1


@dataclass(frozen=True)
class BatchCost:
    """The fit, and the batch size that it recommends.

    A size is good where its throughput is within 10 % of the best. The best is the
    best measured, but no better than the fit at the largest good size measured, so that
    one lucky run does not set the mark.
    """

    per_batch_s: Interval
    per_record_s: Interval
    #: Every size that was measured, in ascending order.
    curve: tuple[SizeCost, ...]
    #: The largest size that was measured as good. Larger ones were slower, for reasons
    #: that are not in the model, such as the caches of the CPU: they are left out of
    #: the fit, and never recommended.
    fitted_to: int
    #: The smallest good size by the fit; but no smaller than any that was measured, and
    #: no larger than that which was measured as the best.
    knee: int
    #: The knee, rounded up to 1, 2 or 5 times a power of ten, and on to where it was
    #: measured as good too; ``fitted_to``, if that comes first.
    recommended: int
    #: The share of resamples of the rounds in which the recommended size was measured
    #: as good. Here and above, what lies between two measured sizes is interpolated.
    confidence: float

    def seconds_at(self, size: int) -> float:
        """Return the seconds per record by the fit."""
        return self.per_record_s.value + self.per_batch_s.value / size

    def throughput_at(self, size: int) -> float:
        """Return the records per second by the fit."""
        return 1 / self.seconds_at(size)

    def batch_share_at(self, size: int) -> float:
        """Return the share of the time that is the batches', by the fit."""
        return self.per_batch_s.value / size / self.seconds_at(size)

    @cached_property
    def best(self) -> SizeCost:
        """The size that was measured as the fastest."""
        return min(self.curve, key=lambda cost: cost.measured_s.value)

    @cached_property
    def worst_fit(self) -> SizeCost | None:
        """Of the sizes that were fitted, that which the fit is furthest from.

        None where the fit is inside the intervals of all, so that it may well be right.
        """
        missed = [
            cost
            for cost in self.curve
            if cost.size <= self.fitted_to
            and not cost.measured_s.low <= cost.fitted_s <= cost.measured_s.high
        ]
        return max(missed, key=lambda cost: abs(cost.misfit), default=None)


def fit(rounds: Sequence[Mapping[int, float]]) -> BatchCost:
    """Fit the model to rounds, each with the seconds per record by batch size.

    Relative errors count, since seconds per record span decades; of each size counts
    the median of its rounds. The intervals and the confidence come of resampling whole
    rounds, the same resamples each time; of a single round they have no width. Raises
    UsageError for no round, fewer than two sizes, rounds whose sizes differ, and for a
    size or a time that is not positive and finite.
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
    # An exact fit has its knee at a whole number, but for the rounding.
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

    ``medians_s`` has a row a resample and a column a size, in ascending order;
    ``shares`` is 1 / size.
    """

    def __init__(self, medians_s: Floats, shares: Floats) -> None:
        self.medians_s = medians_s
        self._shares = shares
        columns = len(shares)
        best_s = medians_s.min(axis=1)
        good = medians_s <= best_s[:, None] / (1 - TOLERANCE)
        #: Column of the largest good size.
        self.last_good = columns - 1 - good[:, ::-1].argmax(axis=1)
        fitted = np.arange(columns) <= self.last_good[:, None]
        self.record_s, self.batch_s = _least_squares(medians_s, shares, fitted)
        last_s = self.record_s + self.batch_s * shares[self.last_good]
        #: The most seconds per record with which a size is good.
        self.allowed_s = np.maximum(best_s, last_s) / (1 - TOLERANCE)

    def between(self, share: float) -> Floats:
        """Return the seconds per record measured at 1 / ``share``, row by row."""
        # In 1 / size the model is a straight line.
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

    What is smallest is the sum of the squares of the relative errors.
    """
    weights = fitted / seconds**2
    total = weights.sum(axis=1)
    mean_share = weights @ shares / total
    mean_s = (weights * seconds).sum(axis=1) / total
    apart = shares - mean_share[:, None]
    # Of a single size there is no telling what a batch costs: it counts as nothing.
    spread = np.where(fitted.sum(axis=1) > 1, (weights * apart**2).sum(axis=1), np.inf)
    batch_s = np.maximum((weights * apart * seconds).sum(axis=1) / spread, 0)
    record_s = mean_s - batch_s * mean_share
    # Where the best is out of bounds, the best within them lies on the bound.
    only_batches = (weights * seconds) @ shares / (weights @ shares**2)
    below = record_s < 0
    return np.where(below, 0, record_s), np.where(below, only_batches, batch_s)


def _interval(value: float, resampled: Floats) -> Interval:
    outside = (1 - INTERVAL) / 2
    low, high = np.quantile(resampled, [outside, 1 - outside])
    return Interval(value, min(float(low), value), max(float(high), value))


def _round_sizes(first: int, end: int) -> Iterator[int]:
    """Yield those of 1, 2, 5, 10, 20, 50 and so on from ``first`` to before ``end``."""
    for power in itertools.count():
        for factor in (1, 2, 5):
            size = factor * 10**power
            if size >= end:
                return
            if size >= first:
                yield size


def _checked_sizes(rounds: Sequence[Mapping[int, float]]) -> list[int]:
    """Return the sizes, ascending; raise UsageError for what can't be fitted."""
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
