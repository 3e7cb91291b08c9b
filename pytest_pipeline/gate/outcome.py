"""What a gate has come to: one outcome of all verdicts, its exit code and its line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from pytest_pipeline.gate.judging import Judged, Verdict
from pytest_pipeline.gate.percent import percent
from pytest_pipeline.measure.results import Machine

Outcome = Literal["ok", "regressed", "inconclusive", "nothing measured"]

#: Those of pytest where it has one that means the same.
EXIT_CODES: dict[Outcome, int] = {
    "ok": 0,
    "regressed": 1,
    "nothing measured": 5,
    "inconclusive": 6,
}
_MOST_NAMED = 3


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate has measured under."""

    machine: Machine
    #: When it began, in ISO 8601.
    when: str
    #: What is installed at each revision, by distribution.
    old_versions: dict[str, str]
    new_versions: dict[str, str]


class Gated(msgspec.Struct, frozen=True, kw_only=True):
    """All that a gate has found."""

    old: str
    new: str
    outcome: Outcome
    exit_code: int
    #: The outcome in one line.
    line: str
    seconds: float
    conditions: Conditions
    benchmarks: list[Judged]


def gated(
    old: str,
    new: str,
    seconds: float,
    conditions: Conditions,
    benchmarks: Sequence[Judged],
) -> Gated:
    """Sum the verdicts up."""
    outcome, line = _outcome(benchmarks)
    return Gated(
        old=old,
        new=new,
        outcome=outcome,
        exit_code=EXIT_CODES[outcome],
        line=f"{outcome}: {line}",
        seconds=seconds,
        conditions=conditions,
        benchmarks=list(benchmarks),
    )


def _outcome(benchmarks: Sequence[Judged]) -> tuple[Outcome, str]:
    of: dict[Verdict, list[Judged]] = {}
    for judged in benchmarks:
        of.setdefault(judged.verdict, []).append(judged)
    measured = [judged for judged in benchmarks if judged.ratio is not None]
    if not measured:
        return "nothing measured", _nothing(benchmarks)
    if regressed := of.get("regressed"):
        return "regressed", _named(regressed)
    # What is lost in silence might have become slower.
    open_ = of.get("inconclusive", []) + of.get("gone", [])
    if open_:
        return "inconclusive", _named(open_)
    improved = of.get("improved", [])
    line = f"{_count(measured)}, none slower by its threshold"
    return "ok", f"{line}; improved: {_named(improved)}" if improved else line


def _nothing(benchmarks: Sequence[Judged]) -> str:
    if not benchmarks:
        return "neither revision has a benchmark here; name files that have some"
    if all(judged.verdict == "skipped" for judged in benchmarks):
        return f"{_count(benchmarks)}, all skipped"
    return f"no benchmark is in both revisions: {_named(benchmarks)}"


def _named(benchmarks: Sequence[Judged]) -> str:
    named = [f"{judged.name} {_change(judged)}" for judged in benchmarks[:_MOST_NAMED]]
    if len(benchmarks) > _MOST_NAMED:
        named.append(f"and {len(benchmarks) - _MOST_NAMED} more")
    return ", ".join(named)


def _change(judged: Judged) -> str:
    if judged.ratio is None or judged.could_see is None:
        return f"({judged.verdict})"
    change = percent(judged.ratio.value)
    if judged.verdict == "inconclusive":
        return f"{change} (would have seen {percent(1 + judged.could_see)})"
    return change


def _count(benchmarks: Sequence[Judged]) -> str:
    return f"{len(benchmarks)} benchmark{'s'[: len(benchmarks) != 1]}"
