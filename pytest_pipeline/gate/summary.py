"""The verdicts as a table in the terminal, as Markdown for a CI job, and as JSON."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from pytest_pipeline.gate.errors import GateUsageError
from pytest_pipeline.gate.judging import Judged
from pytest_pipeline.gate.outcome import Gated
from pytest_pipeline.gate.percent import percent

_HEADS = ("benchmark", "verdict", "change", "interval", "A/A", "would see", "rounds")
_SIGNS = {
    "ok": "✅",
    "improved": "🚀",
    "regressed": "❌",
    "inconclusive": "❓",
    "gone": "❓",
    "new": "🆕",
    "skipped": "⏭️",
}
#: More columns than the table needs: a name is best found in one piece.
_ANY = 1000
_CLAIMED = (
    "A change is that of the time of one call. It is claimed where its whole interval "
    "lies beyond the threshold of the benchmark and the A/A floor, and new pairs of "
    "processes agree. Rounds are followed by how many pairs have run them."
)


def terminal_lines(found: Gated) -> list[str]:
    """Return the table, and how it all ended."""
    out = io.StringIO()
    console = Console(
        file=out, width=_ANY, color_system=None, highlight=False, legacy_windows=False
    )
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for number, head in enumerate(_HEADS):
        table.add_column(head, justify="left" if number < 2 else "right", no_wrap=True)
    for judged in found.benchmarks:
        # What is in brackets is no mark-up.
        table.add_row(*(cell.replace("[", r"\[") for cell in _cells(judged)))
    if found.benchmarks:
        console.print(table)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    return [*(line for line in lines if line), f"gate: {found.line}"]


def markdown(found: Gated) -> str:
    """Return what a CI job can post."""
    sign = {"ok": "✅", "regressed": "❌"}.get(found.outcome, "❓")
    lines = [
        f"### {sign} Gate: {found.outcome}",
        "",
        found.line[len(found.outcome) + 2 :].replace("|", r"\|"),
        "",
        f"Old: {found.old}. New: {found.new}. It took {found.seconds:.0f} s.",
    ]
    if found.benchmarks:
        lines += ["", _row(_HEADS), _row(["---", "---", *["---:"] * 5])]
        lines += [_row(_marked(judged)) for judged in found.benchmarks]
        lines += [
            "",
            _CLAIMED,
        ]
    return "\n".join(lines) + "\n"


def write_summary(found: Gated, path: Path) -> tuple[Path, Path]:
    """Write ``path``.md and ``path``.json, and return their paths.

    Raises GateUsageError where they can't be written.
    """
    as_markdown = path.with_name(f"{path.name}.md")
    as_json = path.with_name(f"{path.name}.json")
    try:
        as_markdown.write_text(markdown(found), encoding="utf-8")
        as_json.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    except OSError as error:
        raise GateUsageError(
            f"--pipeline-gate-summary {path}: not written: {error.strerror}"
        ) from error
    return as_markdown, as_json


def _marked(judged: Judged) -> list[str]:
    name, verdict, *others = (cell.replace("|", r"\|") for cell in _cells(judged))
    return [f"`{name}`", f"{_SIGNS[judged.verdict]} {verdict}", *others]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(judged: Judged) -> list[str]:
    if judged.ratio is None or judged.floor is None or judged.could_see is None:
        note = f" ({judged.note})" if judged.note.startswith("skipped") else ""
        return [f"{judged.name}{note}", judged.verdict, *["–"] * 5]
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
