"""The outcome of a gate: all verdicts as one word, one line and an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from pytest_pipeline.gate.verdict import BenchmarkResult, GateVerdict
from pytest_pipeline.measure.results import Machine
from pytest_pipeline.report.formatting import change

GateOutcome = Literal["ok", "regressed", "inconclusive", "nothing measured"]

#: pytest's own codes where they mean the same.
EXIT_CODES: dict[GateOutcome, int] = {
    "ok": 0,
    "regressed": 1,
    "nothing measured": 5,
    "inconclusive": 6,
}
_MOST_NAMED = 3


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """The machine and the versions that a gate measured with."""

    machine: Machine
    #: The start, in ISO 8601.
    when: str
    #: The versions installed for each revision, by distribution.
    old_versions: dict[str, str]
    new_versions: dict[str, str]


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a gate. Saved as the summary's JSON."""

    old: str
    new: str
    outcome: GateOutcome
    exit_code: int
    #: The outcome in one line.
    line: str
    seconds: float
    conditions: Conditions
    benchmarks: list[BenchmarkResult]


def gate_result(
    old: str,
    new: str,
    seconds: float,
    conditions: Conditions,
    benchmarks: Sequence[BenchmarkResult],
    why_nothing: str = "",
) -> GateResult:
    """Return the result of a gate from its benchmarks.

    Args:
        old: The name of the old revision.
        new: The name of the new revision.
        seconds: What the gate took.
        conditions: What it measured with.
        benchmarks: The benchmarks with their verdicts.
        why_nothing: Why nothing was measured, if that was known from the start.
    """
    outcome: GateOutcome
    if why_nothing:
        outcome, line = "nothing measured", why_nothing
    else:
        outcome, line = _outcome(benchmarks)
    return GateResult(
        old=old,
        new=new,
        outcome=outcome,
        exit_code=EXIT_CODES[outcome],
        line=f"{outcome}: {line}",
        seconds=seconds,
        conditions=conditions,
        benchmarks=list(benchmarks),
    )


def _outcome(benchmarks: Sequence[BenchmarkResult]) -> tuple[GateOutcome, str]:
    of: dict[GateVerdict, list[BenchmarkResult]] = {}
    for one in benchmarks:
        of.setdefault(one.verdict, []).append(one)
    measured = [one for one in benchmarks if one.ratio is not None]
    if not measured:
        return "nothing measured", _nothing(benchmarks)
    if regressed := of.get("regressed"):
        return "regressed", _named(regressed)
    # A benchmark that disappeared might have become slower.
    open_ = of.get("inconclusive", []) + of.get("gone", [])
    if open_:
        return "inconclusive", _named(open_)
    improved = of.get("improved", [])
    line = f"{_count(measured)}, none slower by its threshold"
    return "ok", f"{line}; improved: {_named(improved)}" if improved else line


def _nothing(benchmarks: Sequence[BenchmarkResult]) -> str:
    if not benchmarks:
        return "neither revision has a benchmark here; name files that have some"
    if all(one.verdict == "skipped" for one in benchmarks):
        return f"{_count(benchmarks)}, all skipped"
    return f"no benchmark is in both revisions: {_named(benchmarks)}"


def _named(benchmarks: Sequence[BenchmarkResult]) -> str:
    named = [f"{one.name} {_change(one)}" for one in benchmarks[:_MOST_NAMED]]
    if len(benchmarks) > _MOST_NAMED:
        named.append(f"and {len(benchmarks) - _MOST_NAMED} more")
    return ", ".join(named)


def _change(one: BenchmarkResult) -> str:
    if one.ratio is None or one.could_see is None:
        return f"({one.verdict})"
    text = change(one.ratio.value)
    if one.verdict == "inconclusive":
        return f"{text} (would have seen {change(1 + one.could_see)})"
    return text


def _count(benchmarks: Sequence[BenchmarkResult]) -> str:
    return f"{len(benchmarks)} benchmark{'s'[: len(benchmarks) != 1]}"
