"""The result of a gate as text: a table for the terminal, Markdown for a CI job."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod
from rich.table import Table

from pytest_pipeline.gate.outcome import GateResult
from pytest_pipeline.gate.verdict import BenchmarkResult
from pytest_pipeline.gate.verdict_table import COLUMNS, NOTE, TEXT_COLUMNS, cells

_SIGNS = {
    "ok": "✅",
    "improved": "🚀",
    "regressed": "❌",
    "inconclusive": "❓",
    "gone": "❓",
    "new": "🆕",
    "skipped": "⏭️",
}
#: Wider than any table, so that names are never folded and can be copied.
_WIDTH = 1000


def terminal_lines(found: GateResult) -> list[str]:
    """Return the lines of the table, and one with the outcome."""
    out = io.StringIO()
    console = Console(
        file=out, width=_WIDTH, color_system=None, highlight=False, legacy_windows=False
    )
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(COLUMNS):
        justify: JustifyMethod = "left" if number < TEXT_COLUMNS else "right"
        table.add_column(column, justify=justify, no_wrap=True)
    for one in found.benchmarks:
        # rich would read the brackets of a parametrized test as markup.
        table.add_row(*(cell.replace("[", r"\[") for cell in cells(one)))
    if found.benchmarks:
        console.print(table)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    return [*(line for line in lines if line), f"gate: {found.line}"]


def markdown(found: GateResult) -> str:
    """Return the result as Markdown, for the summary or a comment of a CI job."""
    sign = {"ok": "✅", "regressed": "❌"}.get(found.outcome, "❓")
    lines = [
        f"### {sign} Gate: {found.outcome}",
        "",
        found.line[len(found.outcome) + 2 :].replace("|", r"\|"),
        "",
        f"Old: {found.old}. New: {found.new}. It took {found.seconds:.0f} s.",
    ]
    if found.benchmarks:
        numbers = len(COLUMNS) - TEXT_COLUMNS
        lines += ["", _row(COLUMNS), _row(["---"] * TEXT_COLUMNS + ["---:"] * numbers)]
        lines += [_row(_markdown_cells(one)) for one in found.benchmarks]
        lines += ["", NOTE]
    return "\n".join(lines) + "\n"


def _markdown_cells(one: BenchmarkResult) -> list[str]:
    name, verdict, *others = (cell.replace("|", r"\|") for cell in cells(one))
    return [f"`{name}`", f"{_SIGNS[one.verdict]} {verdict}", *others]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
