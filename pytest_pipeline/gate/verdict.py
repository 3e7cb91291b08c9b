"""The verdict on one benchmark, from interleaved rounds of two revisions."""

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

GateVerdict = Literal[
    "ok", "regressed", "improved", "inconclusive", "new", "gone", "skipped"
]
#: The rounds of one process pair, as `pytest_pipeline.measure.rounds.Rounds.logs`.
PairRounds = Sequence[tuple[float, ...]]

_PAIRS_CONFIDENCE = 0.95


class Quartiles(msgspec.Struct, frozen=True):
    """The quartiles of some samples, in seconds."""

    minimum: float
    q1: float
    median: float
    q3: float
    maximum: float


class BenchmarkResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A benchmark, its verdict, and the evidence. Saved in the summary's JSON."""

    name: str
    verdict: GateVerdict
    #: The relative change from which the benchmark counts as slower.
    threshold: float
    #: Time at the new revision over time at the old one; None if not measured.
    ratio: Interval | None = None
    #: The noise floor: the ratio that two samples of one side (A/A) seemed to have.
    noise_floor: float | None = msgspec.field(name="floor", default=None)
    #: The smallest relative change that these rounds would have shown.
    could_see: float | None = None
    rounds: int = 0
    process_pairs: int = msgspec.field(name="sittings", default=0)
    #: Seconds of one call at each revision, of all samples. The verdict ignores them.
    old_s: Quartiles | None = None
    new_s: Quartiles | None = None
    #: A remark, such as why the benchmark was skipped.
    note: str = ""
    #: Whether more rounds may change the verdict.
    is_open: bool = False


def judge_benchmark(
    name: str,
    pairs: Sequence[PairRounds],
    *,
    threshold: float,
    benchmarks: int,
    looks: int,
) -> BenchmarkResult:
    """Return the verdict on a benchmark.

    A change is claimed where both of these lie beyond the threshold, and the first
    beyond the noise floor too:

    - the interval of the ratio over all rounds;
    - the interval over one value per process pair. Memory layout alone can change a
      tight loop by some per cent for as long as a process lives, and rounds within one
      pair cannot tell that from a change.

    The error rate is Bonferroni-corrected across the benchmarks and the looks.

    Args:
        name: Name of the benchmark.
        pairs: The rounds of each process pair; 12 rounds or more in all.
        threshold: The relative change from which the benchmark counts as slower.
        benchmarks: How many benchmarks are judged in this gate.
        looks: How often each of them may be judged, with more rounds each time.
    """
    logs = np.array([log for rounds in pairs for log in rounds])
    ratio = interval(
        log_ratios(logs),
        confidence=1 - (1 - CONFIDENCE) / benchmarks,
        looks=looks,
    )
    floor = noise_floor(logs)
    slower = 1 + threshold
    beyond = max(slower, floor)
    low, high = _interval_of_pairs(pairs)
    verdict: GateVerdict
    is_open = False
    if min(ratio.low / beyond, low / slower) > 1:
        verdict = "regressed"
    elif max(ratio.high * beyond, high * slower) < 1:
        verdict = "improved"
    elif ratio.high < slower:
        verdict = "ok"
        # More process pairs may show that it improved.
        is_open = ratio.high * beyond < 1
    else:
        verdict, is_open = "inconclusive", True
    could_see = beyond * ratio.value / ratio.low - 1
    if is_open and low > 0:
        # The wider of the two intervals kept the verdict open.
        could_see = max(could_see, slower * math.sqrt(high / low) - 1)
    return BenchmarkResult(
        name=name,
        verdict=verdict,
        threshold=threshold,
        ratio=ratio,
        noise_floor=floor,
        could_see=could_see,
        rounds=len(logs),
        process_pairs=len(pairs),
        # A round has four samples; the outer two are of the old side.
        old_s=_quartiles(logs[:, [0, 3]]),
        new_s=_quartiles(logs[:, [1, 2]]),
        is_open=is_open,
    )


def _quartiles(logs: NDArray[np.float64]) -> Quartiles:
    return Quartiles(*map(float, np.exp(np.percentile(logs, [0, 25, 50, 75, 100]))))


def _interval_of_pairs(pairs: Sequence[PairRounds]) -> tuple[float, float]:
    """Return the interval of the ratio by Student's t, with one value per pair."""
    values = [trimmed_mean(log_ratios(np.array(rounds))) for rounds in pairs]
    if len(values) < 2:
        return 0.0, math.inf
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    wide = error * stats.t.ppf((1 + _PAIRS_CONFIDENCE) / 2, len(values) - 1)
    mean = float(np.mean(values))
    return math.exp(mean - wide), math.exp(mean + wide)
