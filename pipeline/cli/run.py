"""`pipeline run`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from pipeline.batching import DEFAULT_BATCH_RECORDS, BatchLimits
from pipeline.cli.files import check_distinct
from pipeline.cli.servers import addresses_of, replicas_of, servers_options
from pipeline.cli.sources import call_with_options, made_records_options
from pipeline.errors import UsageError
from pipeline.inputs import STANDARD_INPUT
from pipeline.publishing import Draft
from pipeline.stages import INGEST

if TYPE_CHECKING:
    from pipeline.engines.base import Engine


@click.command(short_help="Run a workload through the pipeline.")
@click.argument("input_", metavar="[IN]", required=False)
@click.option(
    "--workload",
    "workload_name",
    default="events",
    show_default=True,
    metavar="NAME",
    help="events, work-items, mixed, or package.module:name of your own.",
)
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
    "--linger",
    "linger_s",
    type=float,
    metavar="SECONDS",
    help="From standard input, send a batch that is not full once its first record has "
    "waited so long [until it is full].",
)
@click.option(
    "--max-records",
    "--max-events",
    default=0,
    show_default=True,
    help="Stop after so many; 0 is all.",
)
@click.option("--max-line-bytes", type=int, help="Reject longer lines [1 MiB].")
@click.option("--records", type=int, help="Records to make, where IN has none.")
@made_records_options
@click.option(
    "--report", type=click.Path(path_type=Path), help="Write the run report, as JSON."
)
@click.option(
    "--rejects",
    type=click.Path(path_type=Path),
    help="Write every rejected record's number and reason, as JSON lines.",
)
@servers_options
@click.option(
    "--tls-root",
    type=click.Path(path_type=Path),
    help="Reach the servers at HOST:PORT of --stage under TLS, trusting this PEM file.",
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
    """Run a workload through the pipeline.

    IN is a file, or - for standard input. The events workload reads newline-delimited
    JSON from it; work-items and mixed make their records from a seed and take no IN.
    The result is published whole at the end of a run, or not at all.

    Exit codes: 0 success, 1 the run failed, 2 wrong usage, 130 interrupted.
    """
    # Here and not above, so that --help need not wait for gRPC.
    from pipeline.cli.tables import print_summary, progress
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
    # A server that we start stands where we stand; one elsewhere reads its own paths.
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
