"""The verdict on one benchmark, from what two revisions of it took by turns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pytest_pipeline.measure.estimation import (
    CONFIDENCE,
    interval,
    log_ratios,
    noise_floor,
    trimmed_mean,
)
from pytest_pipeline.measure.results import Interval

Verdict = Literal[
    "ok", "regressed", "improved", "inconclusive", "new", "gone", "skipped"
]
#: Rounds of one sitting; see `pytest_pipeline.measure.rounds.Rounds.logs`.
Sitting = Sequence[tuple[float, ...]]

_SITTINGS_CONFIDENCE = 0.95


class Quartiles(msgspec.Struct, frozen=True):
    """Where the quarters of some samples begin and end."""

    minimum: float
    q1: float
    median: float
    q3: float
    maximum: float


class Judged(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A benchmark, its verdict, and what that rests on."""

    name: str
    verdict: Verdict
    #: From which relative change on it is slower.
    threshold: float
    #: The time of the new revision to that of the old one; None if it was not measured.
    ratio: Interval | None = None
    #: The ratio that two runs of one and the same seemed to have in these rounds.
    floor: float | None = None
    #: The smallest relative change that these rounds would have shown.
    could_see: float | None = None
    rounds: int = 0
    #: Pairs of processes that have run it.
    sittings: int = 0
    #: Seconds of one call at each revision, of all samples; no verdict rests on them.
    old_s: Quartiles | None = None
    new_s: Quartiles | None = None
    #: What there is to say beside it, such as why it was skipped.
    note: str = ""
    #: Whether more rounds may change the verdict.
    is_open: bool = False


def judge(
    name: str,
    sittings: Sequence[Sitting],
    *,
    threshold: float,
    benchmarks: int,
    looks: int,
) -> Judged:
    """Judge a benchmark by the rounds of all its sittings, 12 or more.

    A change is claimed where the whole interval lies beyond the threshold and the A/A
    floor. And so must the interval that has one value of each sitting: where a process
    has its code and its data in memory makes it some per cent faster or slower for as
    long as it lives, which no rounds within it can tell from a change.

    One of many ``benchmarks`` seems to have changed by chance more often than one
    alone, so that they share out the error that is allowed in all (Bonferroni), and of
    each its ``looks`` do so again.
    """
    logs = np.array([log for sitting in sittings for log in sitting])
    ratio = interval(
        log_ratios(logs),
        confidence=1 - (1 - CONFIDENCE) / benchmarks,
        looks=looks,
    )
    floor = noise_floor(logs)
    slower = 1 + threshold
    beyond = max(slower, floor)
    low, high = _of_sittings(sittings)
    verdict: Verdict
    is_open = False
    if min(ratio.low / beyond, low / slower) > 1:
        verdict = "regressed"
    elif max(ratio.high * beyond, high * slower) < 1:
        verdict = "improved"
    elif ratio.high < slower:
        verdict = "ok"
        # Perhaps it is improved, which more pairs of processes may say.
        is_open = ratio.high * beyond < 1
    else:
        verdict, is_open = "inconclusive", True
    could_see = beyond * ratio.value / ratio.low - 1
    if is_open and low > 0:
        # Whatever kept it from a verdict.
        could_see = max(could_see, slower * math.sqrt(high / low) - 1)
    return Judged(
        name=name,
        verdict=verdict,
        threshold=threshold,
        ratio=ratio,
        floor=floor,
        could_see=could_see,
        rounds=len(logs),
        sittings=len(sittings),
        # Of each round the outer samples are of the old side.
        old_s=_quartiles(logs[:, [0, 3]]),
        new_s=_quartiles(logs[:, [1, 2]]),
        is_open=is_open,
    )


def _quartiles(logs: NDArray[np.float64]) -> Quartiles:
    return Quartiles(*map(float, np.exp(np.percentile(logs, [0, 25, 50, 75, 100]))))


def _of_sittings(sittings: Sequence[Sitting]) -> tuple[float, float]:
    """Return the interval of the ratio by Student's t, with one value of a sitting."""
    values = [trimmed_mean(log_ratios(np.array(sitting))) for sitting in sittings]
    if len(values) < 2:
        return 0.0, math.inf
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    wide = error * stats.t.ppf((1 + _SITTINGS_CONFIDENCE) / 2, len(values) - 1)
    mean = float(np.mean(values))
    return math.exp(mean - wide), math.exp(mean + wide)
