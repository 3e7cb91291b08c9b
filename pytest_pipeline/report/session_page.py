"""The page of a benchmark session, with an earlier session overlaid on request."""

from __future__ import annotations

from pathlib import Path

from pipeline.publishing import write_whole
from pytest_pipeline.measure.results import Session
from pytest_pipeline.report.analysis import batchings, cost, failed, win
from pytest_pipeline.report.changes import changed, changes_table, unlike
from pytest_pipeline.report.formatting import moment
from pytest_pipeline.report.languages import language_answers
from pytest_pipeline.report.page import (
    Page,
    machine_answer,
    machine_rows,
    page_html,
)
from pytest_pipeline.report.sections import sections
from pytest_pipeline.report.tables import Table, all_tables


def write(session: Session, path: str | Path, before: Session | None = None) -> None:
    """Write the page of a session atomically: whole, or not at all.

    Args:
        session: The session that the page shows.
        path: Where the page is written.
        before: An earlier session, overlaid in the charts.

    Raises:
        SinkError: The file can't be written.
    """
    write_whole(path, render(session, before).encode())


def render(session: Session, before: Session | None = None) -> str:
    """Return the page of a session as HTML; ``before`` is an earlier session."""
    return page_html(page_of(session, before))


def page_of(session: Session, before: Session | None = None) -> Page:
    """Return the contents of the page, with ``before`` overlaid."""
    machine = _machine_table(session, before)
    copied = [*all_tables(session), machine]
    if before is not None:
        copied.insert(-1, changes_table(session, before))
    return Page(
        title="Pipeline benchmarks",
        lead=_lead(session, before),
        answers=_answers(session, before),
        notices=tuple(
            filter(
                None,
                (
                    "\n".join(failed(session)),
                    *(unlike(session, before) if before else ()),
                ),
            )
        ),
        sections=tuple(sections(session, before)),
        machine=(machine,),
        copied=tuple(table for table in copied if table.rows),
    )


def _lead(session: Session, before: Session | None) -> str:
    now, unknown = _when(session), "at an unknown time"
    if before is None:
        return f"Measured {now}" if now else ""
    return f"Measured {now or unknown}. Before: {_when(before) or unknown}."


def _when(session: Session) -> str:
    commit = f"at commit {session.commit}" if session.commit else ""
    return ", ".join(filter(None, (moment(session.when), commit)))


def _answers(
    session: Session, before: Session | None
) -> dict[str, list[tuple[str, str]]]:
    """Return the answers at the top: changes, cost, batch size, machine."""
    all_of = batchings(session, "batching")
    since = [] if before is None else changed(session, before)
    return {
        "What has changed?": since,
        "What did the split cost?": [
            (one.workload, said) for one in all_of if (said := cost(one))
        ],
        "Which batch size wins it back?": [
            (one.workload, said) for one in all_of if (said := win(one))
        ],
        "Does the language matter?": language_answers(session),
        "What was the machine?": _machines(session, before),
    }


def _machines(session: Session, before: Session | None) -> list[tuple[str, str]]:
    now = machine_answer(session.machine)
    if before is None:
        return now
    then = machine_answer(before.machine)
    if now == then:
        return [(of, f"{said}, both times") for of, said in now]
    return [*now, *((f"before, {of}", said) for of, said in then)]


def _machine_table(session: Session, before: Session | None) -> Table:
    title = "Machine and versions"
    now = machine_rows(session.machine) | session.machine.versions
    if before is None:
        return Table(title, ("what", "which"), tuple(now.items()), texts=2)
    then = machine_rows(before.machine) | before.machine.versions
    rows = [(name, now.get(name, ""), then.get(name, "")) for name in {**now, **then}]
    return Table(title, ("what", "now", "before"), tuple(rows), texts=3)
