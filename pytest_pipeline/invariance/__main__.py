"""The command ``python -m pytest_pipeline.invariance WORKLOAD``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from pipeline.errors import PipelineError, UsageError
from pipeline.workload import Workload
from pipeline.workloads import workload_named
from pytest_pipeline.invariance import Property, properties_of
from pytest_pipeline.invariance.failures import Failures
from pytest_pipeline.invariance.search import new_seed
from pytest_pipeline.records.cuts import Cut
from pytest_pipeline.records.streams import Stream, parse_partition


@click.command()
@click.argument("workload")
@click.option("--property", "name", help="Check one property only, such as partition.")
@click.option("--stage", default="", help="The stage that the property is of.")
@click.option(
    "--stream", help="Check one stream only, as an earlier failure printed it."
)
@click.option("--partition", default="", help="The batch sizes of that stream: N,N,…")
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Input to take records from, for a workload of your own that reads one.",
)
@click.option(
    "--cut",
    help="Check the whole data in one cut only: a batch size, random:SEED, "
    "powers-of-two or ends-at-powers-of-two.",
)
@click.option(
    "--examples",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Short streams to try for each property.",
)
def invariance(
    workload: str,
    name: str | None,
    stage: str,
    stream: str | None,
    partition: str,
    data: Path | None,
    cut: str | None,
    examples: int,
) -> None:
    """Search for a stream whose result depends on how WORKLOAD divides its work.

    First come failures that earlier runs found in this folder, then the whole data, cut
    into batches in several ways, then short streams that hypothesis generates.

    Exit codes: 0 if none was found, 1 if one was, 2 for wrong usage.
    """
    try:
        found = workload_named(workload)
        if stream is not None:
            _repeat(found, name, stage, stream, partition)
            return
        chosen = properties_of(found) if name is None else [Property(name, stage)]
        _search(found, chosen, data, cut, examples)
    except PipelineError as error:
        click.echo(f"invariance: {error}", err=True)
        sys.exit(error.exit_code)


def _repeat(
    workload: Workload, name: str | None, stage: str, stream: str, partition: str
) -> None:
    if name is None:
        raise UsageError("--stream goes with --property")
    Property(name, stage).check(
        workload,
        Stream.decode(stream, workload.source.returns),
        parse_partition(partition),
    )
    click.echo(f"{name}: holds for this stream")


def _search(
    workload: Workload,
    chosen: Sequence[Property],
    data: Path | None,
    cut: str | None,
    examples: int,
) -> None:
    given = data.read_bytes() if data else None
    name = str(data) if data else ""
    seed = new_seed()
    for prop in chosen:
        if cut is not None:
            held = prop.check_whole(workload, [Cut(cut)], data=given, data_name=name)
        else:
            held = prop.search(
                workload,
                data=given,
                data_name=name,
                examples=examples,
                seed=seed,
                failures=Failures.here(),
            )
        click.echo(f"{prop}: holds for {held}")


if __name__ == "__main__":
    invariance(prog_name="python -m pytest_pipeline.invariance")
