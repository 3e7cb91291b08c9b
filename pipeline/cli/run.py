"""The command `pipeline run`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from pipeline.batching import AUTO, BatchLimits, BatchSize, limits_of
from pipeline.cli.batch_size import batch_size as as_batch_size
from pipeline.cli.checkpoint_options import checkpoint_options, checkpoint_settings
from pipeline.cli.cluster_options import cluster_options, warn_if_open
from pipeline.cli.files import check_distinct, matching_files, paths_of_inputs
from pipeline.cli.output import (
    STANDARD_OUTPUT,
    ResultPipe,
    error_console,
    output_console,
    say,
)
from pipeline.cli.server_options import addresses_of, replicas_of, servers_options
from pipeline.cli.source_options import call_with_options, made_records_options
from pipeline.cli.tls_files import TlsFiles
from pipeline.cli.uploads import Uploads
from pipeline.errors import UsageError, one_line
from pipeline.inputs import STANDARD_INPUT, joined_paths
from pipeline.interrupts import defer_interrupts, ignore_interrupts
from pipeline.languages import programs_of
from pipeline.publishing import Draft
from pipeline.reject_limit import RejectLimit
from pipeline.stages import INGEST, SINK
from pipeline.urls import is_url, redacted

if TYPE_CHECKING:
    from pipeline.engines.base import Engine
    from pipeline.workload import Workload


@click.command(short_help="Run a workload.")
@click.argument("given", metavar="[IN]...", nargs=-1)
@click.option(
    "--workload",
    "workload_name",
    default="events",
    show_default=True,
    metavar="NAME",
    help="events, work-items, mixed, or package.module:attribute of your own.",
)
@click.option(
    "--output",
    required=True,
    type=click.Path(),
    help="Result file or URL, or - for standard output; the summary then goes to "
    "standard error.",
)
@click.option(
    "--engine",
    default="split",
    show_default=True,
    metavar="NAME",
    help="split runs each stage in its own process, monolith all in one; dask runs "
    "parts of the input on a cluster. Other packages may add engines.",
)
@cluster_options
@click.option(
    "--batch-size",
    type=as_batch_size,
    default=AUTO,
    show_default=True,
    metavar="N|auto",
    help="Most records in a batch. auto chooses it while the run goes on: small while "
    "records trickle in, large while they pour.",
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
    type=click.Path(),
    help="Write the number and the reason of each rejected record as JSON lines, to a "
    "file or URL.",
)
@click.option(
    "--max-rejects",
    metavar="N|P%",
    show_default="no limit",
    help="Fail, and publish nothing, if more records are rejected: a number, or a "
    "percentage of all records.",
)
@checkpoint_options
@servers_options
@click.option(
    "--retries",
    type=int,
    show_default="5",
    help="How often in a row a server that is lost is started or connected to again; 0 "
    "fails the run at once.",
)
@click.option(
    "--stage-timeout",
    "stage_timeout_s",
    type=float,
    metavar="SECONDS",
    show_default="60",
    help="Take a server that has not answered a batch for so long for lost.",
)
@click.option(
    "--max-poison",
    type=int,
    metavar="N",
    show_default="0",
    help="Reject up to so many records that end each server of a stage that they are "
    "sent to, as crashed_the_stage.",
)
@click.option(
    "--tls-root",
    type=click.Path(path_type=Path),
    help="Use TLS for the HOST:PORT addresses of --stage, and trust this PEM file.",
)
@click.option(
    "--tls-certificate",
    type=click.Path(path_type=Path),
    help="Show those servers the certificate chain in this PEM file.",
)
@click.option(
    "--tls-key",
    type=click.Path(path_type=Path),
    help="PEM file of the certificate's private key.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help="Send those servers the token in this file.",
)
def run(
    given: tuple[str, ...],
    workload_name: str,
    output: str,
    engine: str,
    address: str | None,
    workers: int | None,
    window: int | None,
    batch_size: BatchSize,
    linger_s: float | None,
    max_records: int,
    report: Path | None,
    rejects: str | None,
    max_rejects: str | None,
    checkpoint: Path | None,
    checkpoint_every: int | None,
    replicas: str,
    stages: tuple[str, ...],
    languages: str,
    retries: int | None,
    stage_timeout_s: float | None,
    max_poison: int | None,
    tls_root: Path | None,
    tls_certificate: Path | None,
    tls_key: Path | None,
    token_file: Path | None,
    transport: Literal["unix", "tcp"],
    **source_values: object,
) -> None:
    """Run a workload and publish its result.

    IN is a file, a pattern such as 'logs/day-?.ndjson', a named pipe, a URL such as
    s3://bucket/key, or - for standard input. Several are read one after the other, as
    if they were one file. The events workload reads JSON lines, which may be
    compressed. The workloads work-items and mixed make their records from a seed and
    take no IN.

    The output file is replaced when the run has succeeded. A run that fails leaves it
    as it was. What is published is a success: the exit code is 0 even if the summary
    can't be printed or Ctrl-C comes too late.

    Exit codes: 0 success, 1 the run failed, 2 wrong usage, 128 + N ended by signal N.
    """
    # Imported here so that --help does not load gRPC.
    from pipeline.cli.progress import progress
    from pipeline.cli.run_output import (
        print_summary,
        tell_recoveries,
        warn_of_rejects,
    )
    from pipeline.engines.base import RunSettings
    from pipeline.workloads import workload_named

    if max_records < 0:
        raise UsageError(f"max records {max_records}: must be 0 or more")
    limits = limits_of(batch_size)
    if linger_s is not None:
        BatchLimits(linger_s=linger_s)  # its value is checked first
        if limits is None:
            raise UsageError(
                "--linger: batch size auto sends what there is at once; give "
                "--batch-size N too, or leave --linger out"
            )
        limits = replace(limits, linger_s=linger_s)
    limit = None if max_rejects is None else RejectLimit.parsed(max_rejects)
    to_stdout = output == STANDARD_OUTPUT
    resumption = checkpoint_settings(
        checkpoint,
        checkpoint_every,
        engine=engine,
        outputs={"--output": output, "--rejects": rejects},
    )
    addresses, counts = addresses_of(stages), replicas_of(replicas)
    if (to_stdout or is_url(output)) and SINK in addresses:
        raise UsageError(
            f"--output {redacted(output)}: a sink that runs already writes files only; "
            f"give a file"
        )
    with ExitStack() as stack:
        # Before the workload is imported, which may print.
        pipe = stack.enter_context(ResultPipe()) if to_stdout else None
        workload = workload_named(workload_name)
        runner = _engine(
            engine,
            workload,
            addresses,
            counts,
            languages,
            transport,
            TlsFiles(tls_root, tls_certificate, tls_key, token_file),
            {
                "retries": retries,
                "stage_timeout_s": stage_timeout_s,
                "max_poison": max_poison,
            },
            {"address": address, "workers": workers, "window": window},
        )
        # A server given by address has another file system, and takes IN as it is.
        inputs = list(given) if INGEST in addresses else matching_files(given)
        check_distinct(
            {"--output": None if pipe else Path(output)}
            | {"--rejects": None if rejects is None else Path(rejects)}
            | {"--report": report},
            inputs=[input_ for input_ in inputs if input_ != STANDARD_INPUT],
        )
        paths = inputs if INGEST in addresses else paths_of_inputs(inputs)
        source = call_with_options(
            workload.source.describe,
            f"workload {workload.name}",
            path=paths[0] if paths else None,
            more=paths[1:] or None,
            **source_values,
        )
        written = {"--rejects": rejects, "--output": None if pipe else output}
        uploads = stack.enter_context(
            Uploads({option: it for option, it in written.items() if it is not None})
        )
        report_draft = stack.enter_context(Draft(report)) if report else None
        with progress() as on_progress:
            finished = runner.run(
                RunSettings(
                    workload=workload,
                    source=source,
                    input=joined_paths(paths),
                    output=pipe.draft if pipe else uploads.paths["--output"],
                    rejects=uploads.paths.get("--rejects"),
                    reject_limit=limit,
                    limits=limits,
                    max_records=max_records,
                    on_progress=on_progress,
                    # Printing can be interrupted, so Ctrl-C still counts then. So it
                    # does until an upload begins.
                    on_publish=(lambda: None) if pipe or uploads else defer_interrupts,
                    **resumption,
                )
            )
        if pipe is not None:
            pipe.publish()
        # An upload that a signal ends may have arrived.
        ignore_interrupts()
        uploads.publish()
        with _remarks(output, "its report is not written"):
            if report_draft is not None:
                report_draft.write(finished.to_json())
                report_draft.publish()
    with _remarks(output, "its summary is not printed"):
        warn_of_rejects(finished, inputs)
        tell_recoveries(finished)
        console = error_console() if to_stdout else output_console()
        print_summary(finished, redacted(output), console)


@contextmanager
def _remarks(output: str, consequence: str) -> Iterator[None]:
    """Report what fails once the result is published; that is no failure of the run."""
    try:
        yield
    except Exception as error:
        say(f"{redacted(output)} is published, but {consequence}: {one_line(error)}")


def _engine(
    name: str,
    workload: Workload,
    addresses: dict[str, list[str]],
    replicas: dict[str, int],
    languages: str,
    transport: Literal["unix", "tcp"],
    tls: TlsFiles,
    recovery: dict[str, Any],
    cluster: dict[str, Any],
) -> Engine:
    if name != "split":
        from pipeline.engines.named import engine_named

        servers = {
            "--stage": addresses,
            "--replicas": replicas,
            "--stages": languages,
            **tls.options,
            "--retries": recovery["retries"],
            "--stage-timeout": recovery["stage_timeout_s"],
            "--max-poison": recovery["max_poison"],
        }
        for option, given in servers.items():
            if given or given == 0:
                raise UsageError(f"{option}: engine {name} has no servers")
        engine = call_with_options(engine_named(name), f"engine {name}", **cluster)
        if address := cluster["address"]:
            warn_if_open(address)
        return engine
    call_with_options(lambda: None, "engine split", **cluster)
    from pipeline.engines.recovery import Recovery
    from pipeline.engines.split import SplitEngine

    given = {name: value for name, value in recovery.items() if value is not None}
    return SplitEngine(
        addresses,
        replicas=replicas,
        programs=programs_of(languages, workload) if languages else None,
        transport=transport,
        credentials=tls.credentials(),
        recovery=replace(Recovery(), **given),
    )
