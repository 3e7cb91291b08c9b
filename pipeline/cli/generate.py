"""`pipeline generate`."""

from __future__ import annotations

import pkgutil
from itertools import islice
from pathlib import Path

import click

from pipeline.cli.sources import call_with_options, made_records_options
from pipeline.publishing import Draft

_DISTRIBUTIONS = ("uniform", "zipf", "burst")
_LINES_PER_WRITE = 1000
_DEFAULT_RECORDS = 100_000

# What yields the lines of each workload; its parameters are options.
_LINES = {
    "events": "pipeline.workloads.events.generate:generate_events",
    "work-items": "pipeline.workloads.work_items.generate:item_lines",
    "mixed": "pipeline.workloads.mixed.generate:mixed_lines",
}


@click.command(short_help="Make a file of records.")
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--workload",
    type=click.Choice(list(_LINES)),
    default="events",
    show_default=True,
    help="Whose records.",
)
@click.option(
    "--records",
    "--events",
    default=_DEFAULT_RECORDS,
    show_default=True,
    help="Lines to write.",
)
@made_records_options
@click.option("--users", type=int, help="Different users of the events [1000].")
@click.option(
    "--distribution",
    type=click.Choice(_DISTRIBUTIONS),
    help="How the events fall on the users [uniform].",
)
@click.option(
    "--malformed",
    type=float,
    metavar="FRACTION",
    help="Fraction of events that are spoilt, in every way in turn [0].",
)
def generate(out: Path, workload: str, **values: object) -> None:
    """Write a file OUT of records, one JSON object a line.

    The events are what `run` reads, 110 to 120 bytes a line. Of the other workloads,
    which make their records as they run, it shows the records of the same options.
    """
    lines = call_with_options(
        pkgutil.resolve_name(_LINES[workload]), workload, **values
    )
    with Draft(out) as draft:
        while chunk := b"".join(islice(lines, _LINES_PER_WRITE)):
            draft.write(chunk)
        draft.publish()
