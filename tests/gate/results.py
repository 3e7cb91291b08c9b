"""Made-up results of a gate."""

from __future__ import annotations

from pytest_pipeline.gate.outcome import Conditions, GateResult, gate_result
from pytest_pipeline.gate.verdict import BenchmarkResult, GateVerdict, Quartiles
from pytest_pipeline.measure.results import Interval
from tests.report.sessions import MACHINE

CONDITIONS = Conditions(
    machine=MACHINE,
    when="2026-03-01T12:00:00+00:00",
    old_versions={"numpy": "2.4.6", "pytest": "9.2.0"},
    new_versions={"numpy": "2.4.6", "pytest": "9.2.0"},
)


def result(
    verdict: GateVerdict, name: str = "", change: float = 1.0, old_s: float = 0.002
) -> BenchmarkResult:
    """Return a benchmark with a verdict, measured if the verdict implies it."""
    name = name or f"test_it[{verdict}]"
    if verdict in ("new", "gone", "skipped"):
        return BenchmarkResult(
            name=name, verdict=verdict, threshold=0.05, note="skipped: no disk"
        )
    return BenchmarkResult(
        name=name,
        verdict=verdict,
        threshold=0.05,
        ratio=Interval(
            low=change - 0.02, value=change, high=change + 0.02, confidence=0.99
        ),
        noise_floor=1.004,
        could_see=0.08,
        rounds=12,
        process_pairs=2,
        old_s=_around(old_s),
        new_s=_around(old_s * change),
    )


def found(
    *benchmarks: BenchmarkResult, conditions: Conditions = CONDITIONS
) -> GateResult:
    """Return the result of a gate."""
    return gate_result(
        "main (01234567)", "HEAD (89abcdef)", 75.4, conditions, benchmarks
    )


def _around(median: float) -> Quartiles:
    return Quartiles(
        *(median * factor for factor in (0.96, 0.98, 1.0, 1.05, 1.3)),
    )
