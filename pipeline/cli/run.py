"""`pipeline run`."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from pipeline.batching import DEFAULT_BATCH_RECORDS, BatchLimits
from pipeline.errors import UsageError
from pipeline.inputs import STANDARD_INPUT
from pipeline.publishing import Draft
from pipeline.stage import INGEST
from pipeline.workloads.events.source import DEFAULT_MAX_LINE_BYTES, line_source

if TYPE_CHECKING:
    from pipeline.engines.base import Engine


@click.command(short_help="Run a file through the pipeline.")
@click.argument("input_", metavar="IN")
@click.option(
    "--output", required=True, type=click.Path(path_type=Path), help="The result file."
)
@click.option(
    "--engine",
    type=click.Choice(["split", "monolith"]),
    default="split",
    show_default=True,
    help="One process a stage, or one for all.",
)
@click.option(
    "--batch-size",
    default=DEFAULT_BATCH_RECORDS,
    show_default=True,
    help="Records in a batch.",
)
@click.option(
    "--max-events", default=0, show_default=True, help="Stop after so many; 0 is all."
)
@click.option(
    "--max-line-bytes",
    default=DEFAULT_MAX_LINE_BYTES,
    show_default=True,
    help="Reject longer lines.",
)
@click.option(
    "--report", type=click.Path(path_type=Path), help="Write the run report, as JSON."
)
@click.option(
    "--rejects",
    type=click.Path(path_type=Path),
    help="Write every rejected line's number and reason, as JSON lines.",
)
@click.option(
    "--stage",
    "stages",
    multiple=True,
    metavar="NAME=ADDRESS",
    help="Use the server at ADDRESS (HOST:PORT or unix:PATH) instead of starting one.",
)
@click.option(
    "--transport",
    type=click.Choice(["unix", "tcp"]),
    default="unix",
    show_default=True,
    help="How to reach the servers that are started.",
)
def run(
    input_: str,
    output: Path,
    engine: Literal["split", "monolith"],
    batch_size: int,
    max_events: int,
    max_line_bytes: int,
    report: Path | None,
    rejects: Path | None,
    stages: tuple[str, ...],
    transport: Literal["unix", "tcp"],
) -> None:
    """Run the events of IN (a file, or - for standard input) through the pipeline.

    IN is newline-delimited JSON. The result is one JSON line a type: count, sum and
    average of what the rules keep. It is published whole at the end of a run, or not
    at all.

    Exit codes: 0 success, 1 the run failed, 2 wrong usage, 130 interrupted.
    """
    # Here and not above, so that --help need not wait for gRPC.
    from pipeline.cli.tables import print_summary, progress
    from pipeline.engines.base import RunSettings
    from pipeline.workloads import EVENTS

    if max_events < 0:
        raise UsageError(f"--max-events {max_events}: must be 0 or more")
    addresses = _addresses(stages)
    _check_distinct(
        {"IN": None if input_ == STANDARD_INPUT else Path(input_)}
        | {"--output": output, "--rejects": rejects, "--report": report}
    )
    # A server that we start stands where we stand; one elsewhere reads its own paths.
    path = (
        input_
        if input_ == STANDARD_INPUT or INGEST in addresses
        else str(Path(input_).absolute())
    )
    with ExitStack() as stack:
        report_draft = stack.enter_context(Draft(report)) if report else None
        on_progress = stack.enter_context(progress())
        finished = _engine(engine, addresses, transport).run(
            RunSettings(
                workload=EVENTS,
                source=line_source(path, max_line_bytes),
                input=path,
                output=output,
                rejects=rejects,
                limits=BatchLimits(records=batch_size),
                max_records=max_events,
                on_progress=on_progress,
            )
        )
        if report_draft is not None:
            report_draft.write(finished.to_json())
            report_draft.publish()
    print_summary(finished, output)


def _engine(
    name: Literal["split", "monolith"],
    addresses: dict[str, str],
    transport: Literal["unix", "tcp"],
) -> Engine:
    if name == "monolith":
        from pipeline.engines.monolith import MonolithEngine

        if addresses:
            raise UsageError("--stage: the monolith has no servers to reach")
        return MonolithEngine()
    from pipeline.engines.split import SplitEngine

    return SplitEngine(addresses, transport=transport)


def _addresses(stages: tuple[str, ...]) -> dict[str, str]:
    addresses = {}
    for text in stages:
        name, equals, address = text.partition("=")
        if not (name and equals and address):
            raise UsageError(f"--stage {text!r}: must be NAME=ADDRESS")
        if name in addresses:
            raise UsageError(f"--stage {name}: given twice")
        addresses[name] = address
    return addresses


def _check_distinct(paths: dict[str, Path | None]) -> None:
    """Raise UsageError where two of the run's files are one."""
    seen: dict[str, str] = {}
    for option, path in paths.items():
        if path is None:
            continue
        other = seen.setdefault(os.path.realpath(path), option)
        if other != option:
            raise UsageError(f"{option} {path}: is the same file as {other}")
