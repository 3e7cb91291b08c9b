"""`pipeline generate`."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import click

from pipeline.publishing import Draft
from pipeline.workloads.events.generate import (
    DISTRIBUTIONS,
    Distribution,
    generate_events,
)

_LINES_PER_WRITE = 1000


@click.command(short_help="Make a file of events.")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--events", default=100_000, show_default=True, help="Lines to write.")
@click.option(
    "--seed", default=1, show_default=True, help="The same seed gives the same bytes."
)
@click.option("--users", default=1000, show_default=True, help="Different users.")
@click.option(
    "--distribution",
    type=click.Choice(DISTRIBUTIONS),
    default="uniform",
    show_default=True,
    help="How the events fall on the users.",
)
@click.option(
    "--malformed",
    default=0.0,
    show_default=True,
    metavar="FRACTION",
    help="Fraction of lines that are spoilt, in every way in turn.",
)
def generate(
    out: Path,
    events: int,
    seed: int,
    users: int,
    distribution: Distribution,
    malformed: float,
) -> None:
    """Write a file OUT of newline-delimited JSON events, 110 to 120 bytes a line."""
    lines = generate_events(events, seed, users, distribution, malformed)
    with Draft(out) as draft:
        while chunk := b"".join(islice(lines, _LINES_PER_WRITE)):
            draft.write(chunk)
        draft.publish()
