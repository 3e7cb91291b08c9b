"""The report as one page that needs nothing else: no network, no other file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.publishing import write_whole
from pytest_pipeline.measured import Machine, Session
from pytest_pipeline.report.answers import batchings, cost, win
from pytest_pipeline.report.palette import DARK, LIGHT
from pytest_pipeline.report.tables import Table, all_tables
from pytest_pipeline.report.wording import moment

if TYPE_CHECKING:
    from pytest_pipeline.report.figures import Chart
    from pytest_pipeline.report.sections import Section

_WORDS = ' class="words"'


def write(session: Session, path: str | Path) -> None:
    """Publish the page of a session whole, or leave what is at ``path``.

    Raises SinkError where the file can't be written, and what `render` raises.
    """
    write_whole(path, render(session).encode())


def render(session: Session) -> str:
    """Return the page of a session as HTML.

    Raises UsageError where the library that draws the charts is not installed.
    """
    if find_spec("plotly") is None:
        raise UsageError(
            "a report needs plotly; pip install 'pytest-grpc-pipeline[test]'"
        )
    # Slow to import, and not there wherever a table in a terminal is enough.
    from plotly.offline import get_plotlyjs

    from pytest_pipeline.report.sections import sections

    made = sections(session)
    drawn = _Drawn()
    return Template(_file("page.html")).substitute(
        style=_file("page.css"),
        when=escape(f"Measured {moment(session.when)}" if session.when else ""),
        answers=_answers(session),
        sections="\n".join(_section(section, drawn) for section in made),
        machine=_table(_machine_table(session.machine)),
        markdown=escape(_markdown(session)),
        figures=drawn.as_json(),
        plotly=get_plotlyjs(),
        script=_file("page.js"),
    )


class _Drawn:
    """The charts drawn so far, by the id of their element, once for each theme."""

    def __init__(self) -> None:
        self._figures: dict[str, dict[str, str]] = {"light": {}, "dark": {}}

    def add(self, chart: Chart) -> str:
        """Draw a chart, and return its id."""
        name = f"chart-{len(self._figures['light']) + 1}"
        for theme, palette in (("light", LIGHT), ("dark", DARK)):
            self._figures[theme][name] = chart.draw(palette).to_json()
        return name

    def as_json(self) -> str:
        """Return all as one JSON object.

        Plotly writes no "<" into JSON, so it can't end the element that it is in.
        """
        return _object({theme: _object(of) for theme, of in self._figures.items()})


def _object(members: dict[str, str]) -> str:
    """Return a JSON object of members that are JSON already."""
    said = (f"{json.dumps(name)}: {value}" for name, value in members.items())
    return f"{{{', '.join(said)}}}"


def _file(name: str) -> str:
    return files("pytest_pipeline.report").joinpath(name).read_text(encoding="utf-8")


def _answers(session: Session) -> str:
    """Return the first lines: cost, batch size, machine."""
    machine = session.machine
    all_of = batchings(session, "batching")
    asked = {
        "What did the split cost?": [
            (one.workload, said) for one in all_of if (said := cost(one))
        ],
        "Which batch size wins it back?": [
            (one.workload, said) for one in all_of if (said := win(one))
        ],
        "What was the machine?": [
            (
                machine.processor,
                f"{machine.cores} cores, {machine.system}, {machine.python}",
            )
        ],
    }
    return "\n".join(
        f"<div><dt>{question}</dt>"
        + "".join(
            f"<dd><b>{escape(of)}</b>: {escape(said)}.</dd>" for of, said in answers
        )
        + "</div>"
        for question, answers in asked.items()
        if answers
    )


def _section(section: Section, drawn: _Drawn) -> str:
    charts = "".join(_figure(chart, drawn.add(chart)) for chart in section.charts)
    first, *others = section.tables
    shown = f"<h3>{escape(first.title)}</h3>\n{_table(first)}"
    more = "".join(
        f"<details><summary>{escape(table.title)}</summary>{_table(table)}</details>"
        for table in others
    )
    heading = f"<h2>{escape(section.heading)}</h2>"
    return f"<section>\n{heading}\n{charts}{shown}{more}</section>"


def _figure(chart: Chart, name: str) -> str:
    title, text = escape(chart.title), escape(chart.text)
    return (
        f"<figure>\n<figcaption><b>{title}</b><span>{text}</span></figcaption>\n"
        f'<div class="chart" id="{name}" role="img" '
        f'aria-label="{title}. The table below has its figures."></div>\n</figure>\n'
    )


def _table(table: Table) -> str:
    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{_WORDS if number < table.texts else ''}>{escape(cell)}</{tag}>"
            for number, cell in enumerate(row)
        )

    rows = "\n".join(f"<tr>{cells('td', row)}</tr>" for row in table.rows)
    note = f'<p class="note">{escape(table.note)}</p>\n' if table.note else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" '
        f'aria-label="{escape(table.title)}"><table>\n'
        f"<thead><tr>{cells('th', table.columns)}</tr></thead>\n"
        f"<tbody>\n{rows}\n</tbody>\n</table></div>\n{note}"
    )


def _machine_table(machine: Machine) -> Table:
    rows = {
        "processor": machine.processor,
        "cores": str(machine.cores),
        "system": machine.system,
        "Python": machine.python,
        **machine.versions,
    }
    return Table(
        "Machine and versions", ("what", "which"), tuple(rows.items()), texts=2
    )


def _markdown(session: Session) -> str:
    """Return all tables but those of single stages as Markdown."""
    shown = [*all_tables(session), _machine_table(session.machine)]
    return "\n\n".join(map(_markdown_table, shown)) + "\n"


def _markdown_table(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"

    ruler = [
        "---" if number < table.texts else "---:"
        for number in range(len(table.columns))
    ]
    rows = [table.columns, ruler, *table.rows]
    return "\n".join([f"**{table.title}**", "", *map(line, rows)])
