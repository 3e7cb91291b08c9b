"""The command `pipeline generate`."""

from __future__ import annotations

import pkgutil
from itertools import islice
from pathlib import Path

import click

from pipeline.cli.output import STANDARD_OUTPUT, print_bytes
from pipeline.cli.source_options import call_with_options, made_records_options
from pipeline.interrupts import ignore_interrupts
from pipeline.publishing import Draft

_DISTRIBUTIONS = ("uniform", "zipf", "burst")
_LINES_PER_WRITE = 1000
_DEFAULT_RECORDS = 100_000

# The function that yields the lines of each workload. Its parameters are options.
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
    help="The workload to make records of.",
)
@click.option(
    "--records",
    "--events",
    default=_DEFAULT_RECORDS,
    show_default=True,
    help="Records to write.",
)
@made_records_options
@click.option(
    "--users", type=int, show_default="1000", help="Number of different users (events)."
)
@click.option(
    "--distribution",
    type=click.Choice(_DISTRIBUTIONS),
    show_default="uniform",
    help="How events are spread over users (events).",
)
@click.option(
    "--malformed",
    type=float,
    metavar="FRACTION",
    show_default="0",
    help="Fraction of malformed lines, of every kind in turn (events).",
)
def generate(out: Path, workload: str, **values: object) -> None:
    """Write records to the file OUT, one JSON object a line; - is standard output.

    Events are lines of 110 to 120 bytes, which `pipeline run` reads.

    The workloads work-items and mixed make their records during a run. For these, OUT
    shows the records that a run with the same options makes.

    Exit codes: 0 success, 1 OUT can't be written, 2 wrong usage, 128 + N ended by
    signal N.
    """
    lines = call_with_options(
        pkgutil.resolve_name(_LINES[workload]), f"workload {workload}", **values
    )
    chunks = iter(lambda: b"".join(islice(lines, _LINES_PER_WRITE)), b"")
    if str(out) == STANDARD_OUTPUT:
        print_bytes(chunks)
        return
    with Draft(out) as draft:
        for chunk in chunks:
            draft.write(chunk)
        draft.seal()
        ignore_interrupts()
        draft.publish()
