"""The sections of a report: charts and tables for each group of benchmarks."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from pytest_pipeline.measure.results import Measured, Session
from pytest_pipeline.report import tables
from pytest_pipeline.report.analysis import (
    Batching,
    batchings,
    comparisons,
    of_group,
    works,
)
from pytest_pipeline.report.changes import changes_table
from pytest_pipeline.report.charts.batching import stage_time, throughput
from pytest_pipeline.report.charts.comparisons import ratios
from pytest_pipeline.report.charts.crossover import gain_by_work
from pytest_pipeline.report.charts.languages import speeds as language_speeds
from pytest_pipeline.report.charts.latency import latency as latency_chart
from pytest_pipeline.report.charts.load import load as load_chart
from pytest_pipeline.report.charts.model import Chart
from pytest_pipeline.report.charts.speeds import replicas as replicas_chart
from pytest_pipeline.report.charts.speeds import transports as transports_chart
from pytest_pipeline.report.languages import compared as compared_languages
from pytest_pipeline.report.page import Section
from pytest_pipeline.report.tables import Table


def sections(session: Session, before: Session | None = None) -> list[Section]:
    """Return the sections that a session has results for, in reading order.

    Results of ``before``, an earlier session, are overlaid in the charts.
    """
    then = before or replace(session, benchmarks=[])
    points = works(session)
    replicas = of_group(session, "replicas")
    transports = of_group(session, "transports")
    latency = of_group(session, "latency")
    earlier = _alike(of_group(then, "latency"))
    loads = of_group(session, "load")
    languages = compared_languages(session, alone=False)
    compared = comparisons(session)
    made = [
        *_batchings("Batching", *(batchings(of, "batching") for of in (session, then))),
        _section(
            "CPU-bound crossover",
            [gain_by_work(points, works(then))],
            tables.crossover_table(points),
        ),
        *_batchings("Mixed work", *(batchings(of, "mixed") for of in (session, then))),
        _section(
            "Replicas", [replicas_chart(replicas)], tables.replicas_table(replicas)
        ),
        _section(
            "Transports",
            [transports_chart(transports)],
            tables.transports_table(transports),
        ),
        _section(
            "Latency",
            [
                latency_chart(of, earlier.get(key, []))
                for key, of in _alike(latency).items()
            ],
            tables.latency_table(latency),
        ),
        _section(
            "Latency by load",
            [load_chart(of) for of in _alike(loads).values()],
            tables.latency_table(loads),
        ),
        _section(
            "Languages",
            language_speeds(languages),
            *tables.languages_tables(session),
        ),
        _section("Comparisons", [ratios(compared)], tables.comparisons_table(compared)),
    ]
    if before is not None:
        change = changes_table(session, before)
        made.append(_section("What has changed", [], change))
    return [section for section in made if section.tables]


def _batchings(
    heading: str, now: Iterable[Batching], then: Iterable[Batching]
) -> list[Section]:
    earlier = {one.workload: one for one in then}
    return [
        _section(
            f"{heading}: {one.workload}",
            [
                throughput(one, earlier.get(one.workload)),
                stage_time(one),
            ],
            tables.batching_table(one),
            tables.stages_table(one),
        )
        for one in now
    ]


def _section(
    heading: str, charts: Iterable[Chart | None], *tables_of: Table
) -> Section:
    return Section(
        heading,
        tuple(chart for chart in charts if chart is not None),
        tuple(table for table in tables_of if table.rows),
    )


def _alike(
    measured: Iterable[Measured],
) -> dict[tuple[str, str], list[Measured]]:
    """Return the results by workload and transport."""
    found: dict[tuple[str, str], list[Measured]] = {}
    for one in measured:
        found.setdefault((one.workload, one.transport), []).append(one)
    return found
