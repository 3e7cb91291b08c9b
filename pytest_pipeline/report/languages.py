"""What the comparison of languages shows, and whether published claims hold."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from pytest_pipeline.measure.estimation import paired_ratio
from pytest_pipeline.measure.results import (
    Interval,
    LanguageRuns,
    Measured,
    Session,
)
from pytest_pipeline.report.analysis import distrust, of_group
from pytest_pipeline.report.formatting import count, times


@dataclass(frozen=True)
class Claim:
    """A claim of the published study: the ratio of two languages lies in a range."""

    said: str
    workload: str
    first: str
    second: str
    low: float
    high: float


#: Languages of which one is less than this many times as fast as another are called
#: alike.
ALIKE = 1.1
CLAIMS = (
    Claim(
        "with batching the language matters little (published: rust 1.03 × typescript)",
        "events",
        "rust",
        "typescript",
        1 / ALIKE,
        ALIKE,
    ),
    Claim(
        "a debug build costs a lot (published without a figure)",
        "events",
        "rust",
        "rust-debug",
        ALIKE,
        math.inf,
    ),
    Claim(
        "TypeScript leads at CPU-bound work (published: rust 0.72 × typescript)",
        "work-items",
        "rust",
        "typescript",
        0,
        1,
    ),
)


def compared(session: Session, *, alone: bool) -> list[Measured]:
    """Return the comparisons of languages: of one stage alone, or of the pipeline."""
    return [
        measured
        for measured in of_group(session, "languages")
        if measured.languages and bool(measured.stage) == alone
    ]


def ratio(first: LanguageRuns, second: LanguageRuns) -> Interval:
    """Return how many times as fast the first is, from rounds that both share."""
    return paired_ratio(first.throughput_per_s, second.throughput_per_s)


def language_answers(session: Session) -> list[tuple[str, str]]:
    """Return each claim with what was measured, and what the orchestrator hides."""
    whole = compared(session, alone=False)
    return [
        *_claims(session, whole),
        *_hidden(session, whole, compared(session, alone=True)),
    ]


def where(measured: Measured) -> str:
    """Return the batch size and the iterations of a comparison, in words."""
    size = "the best batch size of each"
    if measured.batch_size:
        size = f"batch size {count(measured.batch_size)}"
    if measured.iterations is None:
        return size
    return f"{count(measured.iterations)} iterations, {size}"


def ratio_text(of: Interval) -> str:
    """Return a ratio with its interval."""
    return f"{times(of.value)} ({times(of.low)} to {times(of.high)})"


def _claims(session: Session, whole: Iterable[Measured]) -> list[tuple[str, str]]:
    said = []
    for claim in CLAIMS:
        points = [one for one in whole if one.workload == claim.workload]
        if not points:
            continue
        # The best batch size, or the most work.
        point = max(points, key=lambda one: (not one.batch_size, one.iterations or 0))
        by_name = {runs.language: runs for runs in point.languages}
        if {claim.first, claim.second} <= by_name.keys():
            found = ratio(by_name[claim.first], by_name[claim.second])
            answer = (
                f"{claim.said}: at {where(point)} {claim.first} is "
                f"{ratio_text(found)} × {claim.second}: {_verdict(found, claim)}"
            )
            said.append((claim.workload, distrust(session, claim.workload) or answer))
    return said


def _verdict(found: Interval, claim: Claim) -> str:
    if claim.low < found.low and found.high < claim.high:
        return "holds"
    if found.high < claim.low or claim.high < found.low:
        return "does not hold"
    return "can't tell"


def _hidden(
    session: Session, whole: Iterable[Measured], alone: Iterable[Measured]
) -> list[tuple[str, str]]:
    """Return how much of a stage's speed is left in the whole pipeline."""
    by_size = {
        (one.workload, one.batch_size): one
        for one in whole
        if one.iterations is None and len(one.languages) > 1
    }
    points = [one for one in alone if (one.workload, one.batch_size) in by_size]
    if not points:
        return []
    largest = max(one.batch_size for one in points)
    # The stage whose language matters most.
    stage, name, speed = max(
        (
            (one, runs.language, ratio(runs, one.languages[0]))
            for one in points
            if one.batch_size == largest
            for runs in one.languages[1:]
        ),
        key=lambda found: found[2].value,
    )
    pipeline = by_size[stage.workload, largest].languages
    runs = next(one for one in pipeline if one.language == name)
    answer = (
        f"what the orchestrator hides: at batch size {count(largest)} {stage.stage} "
        f"alone in {name} is {ratio_text(speed)} × {pipeline[0].language}; the whole "
        f"pipeline with all stages in {name} is "
        f"{ratio_text(ratio(runs, pipeline[0]))} ×, and of its CPU for a record the "
        f"orchestrator takes {runs.driver_cpu_s * 1e6:.3g} µs and the stages "
        f"{sum(runs.cpu_s.values()) * 1e6:.3g} µs"
    )
    return [(stage.workload, distrust(session, stage.workload) or answer)]
