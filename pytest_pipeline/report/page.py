"""A page as one HTML file, which needs no network and no other file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template

from pytest_pipeline.measure.results import Machine
from pytest_pipeline.report.charts.model import Chart
from pytest_pipeline.report.charts.svg import chart_html
from pytest_pipeline.report.tables import Table

_WORDS = ' class="words"'


@dataclass(frozen=True)
class Section:
    """A heading, charts, and their values as tables.

    The first table is open, the others are folded.
    """

    heading: str
    charts: tuple[Chart, ...]
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class Page:
    """The contents of a page, from top to bottom, as plain text."""

    title: str
    #: The line below the title.
    lead: str
    #: For each question, its answers: a subject and a statement.
    answers: dict[str, list[tuple[str, str]]]
    #: Warnings, shown above everything else.
    notices: tuple[str, ...]
    sections: tuple[Section, ...]
    #: The machine and its versions. The first table is open, the others are folded.
    machine: tuple[Table, ...]
    #: The tables that can be copied as Markdown.
    copied: tuple[Table, ...]


def page_html(page: Page) -> str:
    """Return a page as HTML."""
    return Template(_file("page.html")).substitute(
        style=_file("page.css"),
        title=escape(page.title),
        lead=escape(page.lead),
        answers=_answers(page.answers),
        notices="".join(
            f'<p class="notice">{escape(notice)}</p>\n' for notice in page.notices
        ),
        sections="\n".join(map(_section, page.sections)),
        machine=_tables(page.machine),
        markdown=escape("\n\n".join(map(_markdown, page.copied)) + "\n"),
        script=_file("page.js"),
    )


def machine_answer(machine: Machine) -> list[tuple[str, str]]:
    """Return the answer to the question about the machine."""
    said = f"{machine.cores} cores, {machine.system}, {machine.python}"
    return [(machine.processor, said)]


def machine_rows(machine: Machine) -> dict[str, str]:
    """Return the properties of a machine, without versions."""
    return {
        "processor": machine.processor,
        "cores": str(machine.cores),
        "system": machine.system,
        "Python": machine.python,
    }


def _file(name: str) -> str:
    return files("pytest_pipeline.report").joinpath(name).read_text(encoding="utf-8")


def _answers(asked: dict[str, list[tuple[str, str]]]) -> str:
    return "\n".join(
        f"<div><dt>{escape(question)}</dt>"
        + "".join(
            f"<dd><b>{escape(of)}</b>: {escape(said)}.</dd>" for of, said in answers
        )
        + "</div>"
        for question, answers in asked.items()
        if answers
    )


def _section(section: Section) -> str:
    charts = "".join(map(_figure, section.charts))
    heading = f"<h2>{escape(section.heading)}</h2>"
    first = f"<h3>{escape(section.tables[0].title)}</h3>\n"
    return f"<section>\n{heading}\n{charts}{first}{_tables(section.tables)}</section>"


def _tables(tables: Sequence[Table]) -> str:
    """Return the first table, and the others folded."""
    first, *others = tables
    return _table(first) + "".join(
        f"<details><summary>{escape(table.title)}</summary>{_table(table)}</details>"
        for table in others
    )


def _figure(chart: Chart) -> str:
    title, text = escape(chart.title), escape(chart.text)
    return (
        f"<figure>\n<figcaption><b>{title}</b><span>{text}</span></figcaption>\n"
        f'<div class="chart" role="img" '
        f'aria-label="{title}. The table below has its figures.">'
        f"{chart_html(chart)}</div>\n</figure>\n"
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


def _markdown(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"

    ruler = [
        "---" if number < table.texts else "---:"
        for number in range(len(table.columns))
    ]
    rows = [table.columns, ruler, *table.rows]
    return "\n".join([f"**{table.title}**", "", *map(line, rows)])
