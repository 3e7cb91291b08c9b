"""What a ratio is to the one that was committed, by the whole of both intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_pipeline.measure.ratios.baseline import Ratio

RatioVerdict = Literal["ok", "worse", "improved", "inconclusive"]

#: By which share of the committed interval's end a ratio may be worse. The same code
#: has other ratios on another processor of as many cores, under another load, and where
#: its processes happen to lie in memory: by a tenth and more.
TOLERANCE = 0.25

#: Share of the CPU that others may use. Where they use more, the processes of the split
#: wait for their turn where the monolith does not, and ratios are of that.
MOST_USED = 0.25


@dataclass(frozen=True)
class MeasuredRatio:
    """A ratio as it was measured, and what says how well."""

    ratio: Ratio
    #: The ratio that two runs of one and the same seemed to have in these rounds.
    floor: float
    rounds: int
    #: Throughput of each of the two kinds of runs.
    records_per_s: dict[str, float]
    #: Share of the CPU that others used before or after.
    used: float = 0.0

    @property
    def is_crowded(self) -> bool:
        """Whether others used so much of the CPU that nothing is claimed."""
        return self.used > MOST_USED


@dataclass(frozen=True)
class JudgedRatio:
    """A ratio with its verdict, and what that rests on."""

    name: str
    verdict: RatioVerdict
    was: Ratio
    found: MeasuredRatio

    def __str__(self) -> str:
        said = (
            f"{self.name}: {self.found.ratio}, baseline {self.was}; "
            f"{self.found.rounds} rounds, A/A {self.found.floor:.3f}"
        )
        if self.found.is_crowded:
            said += f", and others use {self.found.used:.0%} of the CPU"
        return said if self.verdict == "ok" else f"{said}: {self.verdict}"


def judge_ratio(
    name: str, was: Ratio, found: MeasuredRatio, *, is_speedup: bool
) -> JudgedRatio:
    """Judge a ratio; a speedup is worse where it falls, a cost where it rises.

    It is worse if the whole interval lies beyond that of the file by more than what is
    tolerated, and by more than the A/A floor; improved as far the other way; and ok if
    the whole interval lies on this side of what is tolerated. On a crowded machine none
    of these can be said.
    """
    if found.is_crowded:
        return JudgedRatio(name, "inconclusive", was, found)
    then, now = (was.inverse, found.ratio.inverse) if is_speedup else (was, found.ratio)
    tolerated = 1 + TOLERANCE
    beyond = max(tolerated, found.floor)
    verdict: RatioVerdict = "inconclusive"
    if now.low > then.high * beyond:
        verdict = "worse"
    elif now.high < then.low / beyond:
        verdict = "improved"
    elif now.high <= then.high * tolerated:
        verdict = "ok"
    return JudgedRatio(name, verdict, was, found)
