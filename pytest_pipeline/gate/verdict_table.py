"""The table of verdicts: the same in the terminal, in Markdown and on the page."""

from __future__ import annotations

from pytest_pipeline.gate.verdict import BenchmarkResult
from pytest_pipeline.report.formatting import change

#: The columns; the first two hold text, the others numbers.
COLUMNS = ("benchmark", "verdict", "change", "interval", "A/A", "would see", "rounds")
TEXT_COLUMNS = 2
#: How to read the table.
NOTE = (
    "change: of the time of one call. It is claimed where its whole interval lies "
    "beyond the benchmark's threshold and the A/A noise floor, and the process pairs "
    "agree. rounds: 24/4 is 24 rounds in 4 process pairs."
)


def cells(one: BenchmarkResult) -> list[str]:
    """Return the row of a benchmark, one cell for each of `COLUMNS`."""
    if one.ratio is None or one.noise_floor is None or one.could_see is None:
        note = f" ({one.note})" if one.note.startswith("skipped") else ""
        return [
            f"{one.name}{note}",
            one.verdict,
            *["–"] * (len(COLUMNS) - TEXT_COLUMNS),
        ]
    ratio = one.ratio
    return [
        one.name,
        one.verdict,
        change(ratio.value),
        f"{change(ratio.low)} to {change(ratio.high)}",
        change(one.noise_floor),
        change(1 + one.could_see),
        f"{one.rounds}/{one.process_pairs}",
    ]
