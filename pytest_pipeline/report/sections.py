"""What a report consists of: for each group of benchmarks its charts and tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pytest_pipeline.measured import Measured, Session
from pytest_pipeline.report import claims, figures, ratios, tables
from pytest_pipeline.report.answers import (
    Batching,
    batchings,
    comparisons,
    of_group,
    works,
)
from pytest_pipeline.report.figures import Chart
from pytest_pipeline.report.tables import Table


@dataclass(frozen=True)
class Section:
    """A heading, the charts below it, and their figures as tables.

    The first table is shown; the others can be unfolded.
    """

    heading: str
    charts: tuple[Chart, ...]
    tables: tuple[Table, ...]


def sections(session: Session) -> list[Section]:
    """Return the sections that a session has figures for, in reading order."""
    points = works(session)
    replicas = of_group(session, "replicas")
    transports = of_group(session, "transports")
    latency = of_group(session, "latency")
    compared = comparisons(session)
    made = [
        *(_batching("Batching", one) for one in batchings(session, "batching")),
        _section(
            "CPU-bound crossover", [ratios.work(points)], tables.crossover_table(points)
        ),
        *(_batching("Mixed work", one) for one in batchings(session, "mixed")),
        _section(
            "Replicas", [ratios.replicas(replicas)], tables.replicas_table(replicas)
        ),
        _section(
            "Transports",
            [ratios.transports(transports)],
            tables.transports_table(transports),
        ),
        _section(
            "Latency",
            [figures.latency(of) for of in _alike(latency)],
            tables.latency_table(latency),
        ),
        _section(
            "Comparisons", [claims.claims(compared)], tables.comparisons_table(compared)
        ),
    ]
    return [section for section in made if section.tables]


def _batching(heading: str, batching: Batching) -> Section:
    return _section(
        f"{heading}: {batching.workload}",
        [figures.throughput(batching), figures.stage_time(batching)],
        tables.batching_table(batching),
        tables.stages_table(batching),
    )


def _section(
    heading: str, charts: Iterable[Chart | None], *tables_of: Table
) -> Section:
    return Section(
        heading,
        tuple(chart for chart in charts if chart is not None),
        tuple(table for table in tables_of if table.rows),
    )


def _alike(measured: Iterable[Measured]) -> list[list[Measured]]:
    """Return a list for each workload and transport."""
    found: dict[tuple[str, str], list[Measured]] = {}
    for one in measured:
        found.setdefault((one.workload, one.transport), []).append(one)
    return list(found.values())
