"""The command `pipeline run`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from pipeline.batching import DEFAULT_BATCH_RECORDS, BatchLimits
from pipeline.cli.files import check_distinct
from pipeline.cli.server_options import addresses_of, replicas_of, servers_options
from pipeline.cli.source_options import call_with_options, made_records_options
from pipeline.errors import UsageError
from pipeline.inputs import STANDARD_INPUT
from pipeline.publishing import Draft
from pipeline.stages import INGEST

if TYPE_CHECKING:
    from pipeline.engines.base import Engine


@click.command(short_help="Run a workload.")
@click.argument("input_", metavar="[IN]", required=False)
@click.option(
    "--workload",
    "workload_name",
    default="events",
    show_default=True,
    metavar="NAME",
    help="events, work-items, mixed, or package.module:attribute of your own.",
)
@click.option(
    "--output", required=True, type=click.Path(path_type=Path), help="Result file."
)
@click.option(
    "--engine",
    type=click.Choice(["split", "monolith"]),
    default="split",
    show_default=True,
    help="Run each stage in its own process, or all in one.",
)
@click.option(
    "--batch-size",
    default=DEFAULT_BATCH_RECORDS,
    show_default=True,
    help="Most records in a batch.",
)
@click.option(
    "--linger",
    "linger_s",
    type=float,
    metavar="SECONDS",
    show_default="no limit",
    help="Send a batch that is not full when its first record has waited that long. "
    "Standard input only.",
)
@click.option(
    "--max-records",
    "--max-events",
    default=0,
    show_default=True,
    help="Stop after so many records; 0 runs all.",
)
@click.option(
    "--max-line-bytes", type=int, show_default="1 MiB", help="Reject longer lines."
)
@click.option(
    "--records", type=int, help="Number of records to make (work-items, mixed)."
)
@made_records_options
@click.option(
    "--report", type=click.Path(path_type=Path), help="Write the run report as JSON."
)
@click.option(
    "--rejects",
    type=click.Path(path_type=Path),
    help="Write the number and the reason of each rejected record as JSON lines.",
)
@servers_options
@click.option(
    "--tls-root",
    type=click.Path(path_type=Path),
    help="Use TLS for the HOST:PORT addresses of --stage, and trust this PEM file.",
)
def run(
    input_: str | None,
    workload_name: str,
    output: Path,
    engine: Literal["split", "monolith"],
    batch_size: int,
    linger_s: float | None,
    max_records: int,
    report: Path | None,
    rejects: Path | None,
    replicas: str,
    stages: tuple[str, ...],
    tls_root: Path | None,
    transport: Literal["unix", "tcp"],
    **source_values: object,
) -> None:
    """Run a workload and publish its result.

    IN is a file, or - for standard input. The events workload reads it as JSON lines.
    The workloads work-items and mixed make their records from a seed and take no IN.

    The output file is replaced when the run has succeeded. A run that fails leaves it
    as it was.

    Exit codes: 0 success, 1 the run failed, 2 wrong usage, 130 interrupted.
    """
    # Imported here so that --help does not load gRPC.
    from pipeline.cli.progress import progress
    from pipeline.cli.run_output import print_summary
    from pipeline.engines.base import RunSettings
    from pipeline.workloads import workload_named

    if max_records < 0:
        raise UsageError(f"max records {max_records}: must be 0 or more")
    workload = workload_named(workload_name)
    addresses, counts = addresses_of(stages), replicas_of(replicas)
    runner = _engine(engine, addresses, counts, transport, tls_root)
    check_distinct(
        {"IN": None if input_ in (None, STANDARD_INPUT) else Path(input_)}
        | {"--output": output, "--rejects": rejects, "--report": report}
    )
    # A server that we start gets an absolute path. A server given by address resolves
    # the path as it was given, in its own file system.
    path = (
        input_
        if input_ in (None, STANDARD_INPUT) or INGEST in addresses
        else str(Path(input_).absolute())
    )
    source = call_with_options(
        workload.source.describe, workload.name, path=path, **source_values
    )
    with ExitStack() as stack:
        report_draft = stack.enter_context(Draft(report)) if report else None
        on_progress = stack.enter_context(progress())
        finished = runner.run(
            RunSettings(
                workload=workload,
                source=source,
                input=path or "",
                output=output,
                rejects=rejects,
                limits=BatchLimits(records=batch_size, linger_s=linger_s),
                max_records=max_records,
                on_progress=on_progress,
            )
        )
        if report_draft is not None:
            report_draft.write(finished.to_json())
            report_draft.publish()
    print_summary(finished, output)


def _engine(
    name: Literal["split", "monolith"],
    addresses: dict[str, list[str]],
    replicas: dict[str, int],
    transport: Literal["unix", "tcp"],
    tls_root: Path | None,
) -> Engine:
    if name == "monolith":
        from pipeline.engines.monolith import MonolithEngine

        servers = {"--stage": addresses, "--replicas": replicas, "--tls-root": tls_root}
        for option, given in servers.items():
            if given:
                raise UsageError(f"{option}: the monolith has no servers")
        return MonolithEngine()
    from pipeline.engines.split import SplitEngine
    from pipeline.transport.credentials import channel_credentials

    return SplitEngine(
        addresses,
        replicas=replicas,
        transport=transport,
        credentials=channel_credentials(tls_root) if tls_root else None,
    )
