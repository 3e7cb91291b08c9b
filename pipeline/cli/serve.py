"""The command `pipeline serve`."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import click

from pipeline.errors import StageError, UsageError, one_line
from pipeline.standard_streams import claim_standard_output


@click.command(short_help="Serve one stage until stopped.")
@click.argument("stage")
@click.option(
    "--bind",
    default="127.0.0.1:0",
    show_default=True,
    metavar="ADDRESS",
    help="HOST:PORT or unix:PATH. Port 0 takes a free port.",
)
@click.option(
    "--workload",
    default="events",
    show_default=True,
    metavar="NAME",
    help="events, work-items, mixed, or package.module:attribute of your own.",
)
@click.option(
    "--folder",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder in which ingest may read and the sink may write, its subfolders "
    "included. Repeatable.",
)
@click.option("--stdin", is_flag=True, help="Let ingest read standard input as '-'.")
@click.option(
    "--tls-certificate",
    type=click.Path(path_type=Path),
    help="Serve TLS with the certificate chain in this PEM file.",
)
@click.option(
    "--tls-key",
    type=click.Path(path_type=Path),
    help="PEM file of the certificate's private key.",
)
@click.option("--lifeline", type=int, hidden=True)
def serve(
    stage: str,
    bind: str,
    workload: str,
    folders: tuple[Path, ...],
    stdin: bool,
    tls_certificate: Path | None,
    tls_key: Path | None,
    lifeline: int | None,
) -> None:
    """Serve STAGE of a workload: ingest, parse, rules, aggregate or sink.

    When it is ready, the server prints one line of JSON: stage, workload, address and
    process ID. Nothing else goes to standard output, which is closed then. It logs to
    standard error, and so does everything that the workload prints.

    On SIGTERM or SIGINT, the server finishes its open streams, refuses new ones, and
    exits.

    Exit codes: 0 stopped, 1 failed, 2 wrong usage.
    """
    # Imported here because the other commands need no server.
    from pipeline.transport.credentials import server_credentials
    from pipeline.transport.folders import ServedFolders
    from pipeline.transport.server import StageServer, serve_until_stopped
    from pipeline.workloads import workload_named

    logging.basicConfig(
        level=logging.INFO, format=f"%(asctime)s {stage} %(levelname)s %(message)s"
    )
    # Before the workload is imported: whatever it prints belongs to the log.
    handshake_file = claim_standard_output()
    if (tls_certificate is None) != (tls_key is None):
        raise UsageError("--tls-certificate and --tls-key: give both or neither")
    server = StageServer(
        workload_named(workload),
        stage,
        bind,
        ServedFolders(folders, standard_input=stdin),
        server_credentials(tls_certificate, tls_key)
        if tls_certificate and tls_key
        else None,
    )

    def announce() -> None:
        handshake = {
            "stage": stage,
            "workload": workload,
            "address": server.address,
            "pid": os.getpid(),
        }
        try:
            with handshake_file:
                handshake_file.write(f"{json.dumps(handshake)}\n".encode())
        except OSError as error:
            server.stop_now()
            raise StageError(
                f"stage {stage} can't print its handshake to standard output: "
                f"{one_line(error)}"
            ) from error

    serve_until_stopped(server, announce, lifeline)
