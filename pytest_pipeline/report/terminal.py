"""The tables at the end of a test session."""

from __future__ import annotations

import io
import shutil

from rich.box import Box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from pytest_pipeline.measure.results import Session
from pytest_pipeline.report.analysis import batchings, cost, failed, win
from pytest_pipeline.report.languages import language_answers
from pytest_pipeline.report.tables import Table, all_tables

_NARROW, _WIDE = 80, 100
#: Wider than any table.
_UNLIMITED = 1000
#: The width to which words can be folded.
_FOLDED = 12

#: A line below the header, and a blank between columns.
_LINE = Box("    \n    \n ── \n    \n    \n    \n    \n    \n")


def terminal_table(session: Session, width: int | None = None) -> list[str]:
    """Return the results as plain lines.

    Args:
        session: The session whose results are shown.
        width: Columns of a line; None for the terminal's, from 80 to 100. A table
            whose numbers need more is wider.
    """
    if width is None:
        columns = shutil.get_terminal_size((_WIDE, 24)).columns
        width = max(_NARROW, min(columns, _WIDE))
    out = io.StringIO()
    console = Console(
        file=out,
        width=_UNLIMITED,
        color_system=None,
        highlight=False,
        legacy_windows=False,
    )
    gap = 2 if width >= _WIDE else 1
    for line in answers(session):
        console.print(Text(line), width=width)
    said = set()
    for table in all_tables(session):
        console.print()
        console.print(Text(table.title, overflow="fold"), width=width)
        least = _least_width(table, gap)
        console.print(_drawn(table, gap), width=max(width, least))
        if table.note and table.note not in said:
            console.print(Padding(Text(table.note), (0, 0, 0, 2)), width=width)
            said.add(table.note)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def answers(session: Session) -> list[str]:
    """Return what failed, and the answers to what the split costs and gains."""
    said = failed(session)
    for batching in batchings(session, "batching"):
        for asked, answer in (
            ("what did the split cost?", cost(batching)),
            ("what wins it back?", win(batching)),
        ):
            if answer is not None:
                said.append(f"{batching.workload}: {asked} {answer}")
    said += [f"{of}: {answer}" for of, answer in language_answers(session)]
    return said


def _least_width(table: Table, gap: int) -> int:
    """Return the width below which numbers would be cut."""
    widths = []
    for number, cells in enumerate(zip(table.columns, *table.rows, strict=True)):
        longest = max(map(len, cells))
        widths.append(min(longest, _FOLDED) if number < table.texts else longest)
    return sum(widths) + gap * len(widths)


def _drawn(table: Table, gap: int) -> RichTable:
    drawn = RichTable(
        box=_LINE, show_edge=False, pad_edge=False, padding=(0, gap - 1, 0, 0)
    )
    for number, column in enumerate(table.columns):
        words = number < table.texts
        first, space, last = column.rpartition(" ")
        drawn.add_column(
            Text(f"{first}\n{last}" if space else column),
            justify="left" if words else "right",
            vertical="top",
            overflow="fold",
            no_wrap=not words,
        )
    for row in table.rows:
        drawn.add_row(*map(Text, row))
    return drawn
