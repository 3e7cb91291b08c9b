"""Judge a ratio against the baseline's, by the whole of both intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_pipeline.measure.ratios.baseline import Ratio

RatioVerdict = Literal["ok", "worse", "improved", "inconclusive"]

#: By which share a ratio may be worse than the worse end of the baseline's interval.
#: The same code has ratios that differ by 10 % and more on another processor with as
#: many cores, under another load, or with another memory layout.
TOLERANCE = 0.25

#: Share of the CPU that other processes may use. Beyond it the processes of the split
#: wait for a core where the monolith does not, which changes the ratio.
MOST_USED = 0.25


@dataclass(frozen=True)
class MeasuredRatio:
    """A ratio that was measured, with what tells how reliable it is."""

    ratio: Ratio
    #: The ratio that two samples of the same seemed to have in these rounds (A/A), 1 or
    #: more.
    noise_floor: float
    rounds: int
    #: Records per second of each of the two kinds of runs, by their names.
    records_per_s: dict[str, float]
    #: Share of the CPU that other processes used before or after, the larger one.
    used: float = 0.0

    @property
    def is_crowded(self) -> bool:
        """Whether other processes used too much of the CPU for a verdict."""
        return self.used > MOST_USED


@dataclass(frozen=True)
class JudgedRatio:
    """A ratio with its verdict, and the evidence for it."""

    name: str
    verdict: RatioVerdict
    was: Ratio
    found: MeasuredRatio

    def __str__(self) -> str:
        text = (
            f"{self.name}: {self.found.ratio}, baseline {self.was}; "
            f"{self.found.rounds} rounds, A/A {self.found.noise_floor:.3f}"
        )
        if self.found.is_crowded:
            text += f", and others use {self.found.used:.0%} of the CPU"
        return text if self.verdict == "ok" else f"{text}: {self.verdict}"


def judge_ratio(
    name: str, was: Ratio, found: MeasuredRatio, *, is_speedup: bool
) -> JudgedRatio:
    """Judge a ratio against that of the baseline.

    It is *worse* if its whole interval lies beyond the baseline's by more than
    `TOLERANCE` and by more than the noise floor, *improved* if it lies as far to the
    other side, and *ok* if it lies within the tolerance or is better. Otherwise, and on
    a crowded machine, the verdict is *inconclusive*.

    Args:
        name: Of the ratio.
        was: The baseline's.
        found: What was measured.
        is_speedup: Whether a ratio that falls is worse. A cost is worse if it rises.
    """
    if found.is_crowded:
        return JudgedRatio(name, "inconclusive", was, found)
    then, now = (was.inverse, found.ratio.inverse) if is_speedup else (was, found.ratio)
    tolerated = 1 + TOLERANCE
    beyond = max(tolerated, found.noise_floor)
    verdict: RatioVerdict = "inconclusive"
    if now.low > then.high * beyond:
        verdict = "worse"
    elif now.high < then.low / beyond:
        verdict = "improved"
    elif now.high <= then.high * tolerated:
        verdict = "ok"
    return JudgedRatio(name, verdict, was, found)
