"""The page of a gate: verdicts, changes, and the times of old and new."""

from __future__ import annotations

from collections.abc import Sequence
from os.path import commonprefix

from msgspec.structs import replace

from pytest_pipeline.gate.charts import changes, measured_rows, seconds
from pytest_pipeline.gate.outcome import Conditions, GateResult
from pytest_pipeline.gate.verdict import BenchmarkResult, Quartiles
from pytest_pipeline.gate.verdict_table import COLUMNS, NOTE, TEXT_COLUMNS, cells
from pytest_pipeline.report.formatting import duration, moment
from pytest_pipeline.report.page import (
    Page,
    Section,
    machine_answer,
    machine_rows,
)
from pytest_pipeline.report.tables import Table


def page_of(found: GateResult) -> Page:
    """Return the contents of the page."""
    place = place_of([one.name for one in found.benchmarks])
    rows = measured_rows(found.benchmarks, place)
    conditions = found.conditions
    machine = Table(
        "Machine",
        ("what", "which"),
        tuple(machine_rows(conditions.machine).items()),
        texts=2,
    )
    versions = _versions_table(conditions)
    shortened = [
        replace(one, name=one.name.removeprefix(place)) for one in found.benchmarks
    ]
    verdicts, times = _verdicts_table(shortened), _seconds_table(shortened)
    sections = [
        Section("Changes", (changes(rows),) if rows else (), (verdicts,)),
        Section("Old and new", (seconds(rows),) if rows else (), (times,)),
    ]
    return Page(
        title=f"Gate: {found.outcome}",
        lead=f"Measured {moment(conditions.when)}, in {found.seconds:.0f} s.",
        answers={
            "What came of it?": [
                (found.outcome, found.line.removeprefix(f"{found.outcome}: "))
            ],
            "What was compared?": [
                ("old", found.old),
                ("new", found.new),
                ("benchmarks", _chosen(len(shortened), place)),
            ],
            "What was the machine?": machine_answer(conditions.machine),
        },
        notices=_notices(conditions),
        sections=tuple(of for of in sections if of.tables[0].rows),
        machine=(machine, versions),
        copied=tuple(of for of in (verdicts, times, machine, versions) if of.rows),
    )


def place_of(names: Sequence[str]) -> str:
    """Return the folder, file or class that all names begin with, or nothing."""
    # Parameters in brackets may look like paths.
    paths = [name.partition("[")[0] for name in names]
    head = commonprefix(paths)  # noqa: RUF071 - a name is more than a path
    ends = [head.rfind(sign) + len(sign) for sign in ("/", "::") if sign in head]
    return head[: max(ends, default=0)]


def _chosen(number: int, place: str) -> str:
    return f"{number}, all in {place.rstrip(':/')}" if place else f"{number}"


def _verdicts_table(benchmarks: Sequence[BenchmarkResult]) -> Table:
    return Table(
        "Verdicts",
        COLUMNS,
        tuple(tuple(cells(one)) for one in benchmarks),
        note=NOTE,
        texts=TEXT_COLUMNS,
    )


def _seconds_table(benchmarks: Sequence[BenchmarkResult]) -> Table:
    rows = [
        (
            one.name,
            *(
                said
                for of in (one.old_s, one.new_s)
                for said in (duration(of.median), _half(of))
            ),
        )
        for one in benchmarks
        if one.old_s is not None and one.new_s is not None
    ]
    return Table(
        "Time of a call",
        ("benchmark", "old", "half of old", "new", "half of new"),
        tuple(rows),
        note=(
            "old, new: the median of all samples. half: from the first to the third "
            "quartile. Recorded, never judged."
        ),
        texts=1,
    )


def _half(of: Quartiles) -> str:
    return f"{duration(of.q1)} to {duration(of.q3)}"


def _versions_table(conditions: Conditions) -> Table:
    """Return the versions at each revision, differing ones first."""
    old, new = conditions.old_versions, conditions.new_versions
    names = sorted({**old, **new}, key=lambda name: old.get(name) == new.get(name))
    differ = sum(old.get(name) != new.get(name) for name in names)
    return Table(
        f"Versions: {differ or 'none'} of {len(names)} differ{'s'[: differ == 1]}",
        ("distribution", "old", "new"),
        tuple((name, old.get(name, ""), new.get(name, "")) for name in names),
        texts=3,
    )


def _notices(conditions: Conditions) -> tuple[str, ...]:
    old, new = conditions.old_versions, conditions.new_versions
    differing = [
        f"{name} {old.get(name, 'none')}, now {new.get(name, 'none')}"
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    ]
    if not differing:
        return ()
    return (f"What is installed differs: {'; '.join(differing)}.",)
