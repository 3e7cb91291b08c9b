"""The table of verdicts: the same in the terminal, in Markdown and on the page."""

from __future__ import annotations

from pytest_pipeline.gate.judging import Judged
from pytest_pipeline.gate.percent import percent

#: The columns; the first two hold text, the others numbers.
COLUMNS = ("benchmark", "verdict", "change", "interval", "A/A", "would see", "rounds")
TEXT_COLUMNS = 2
#: How to read the table.
NOTE = (
    "change: of the time of one call. It is claimed where its whole interval lies "
    "beyond the benchmark's threshold and the A/A noise floor, and the process pairs agree. "
    "rounds: 24/4 is 24 rounds in 4 process pairs."
)


def cells(judged: Judged) -> list[str]:
    """Return the row of a benchmark, one cell for each of `COLUMNS`."""
    if judged.ratio is None or judged.floor is None or judged.could_see is None:
        note = f" ({judged.note})" if judged.note.startswith("skipped") else ""
        return [
            f"{judged.name}{note}",
            judged.verdict,
            *["–"] * (len(COLUMNS) - TEXT_COLUMNS),
        ]
    ratio = judged.ratio
    return [
        judged.name,
        judged.verdict,
        percent(ratio.value),
        f"{percent(ratio.low)} to {percent(ratio.high)}",
        percent(judged.floor),
        percent(1 + judged.could_see),
        f"{judged.rounds}/{judged.sittings}",
    ]
