"""`pipeline serve`."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import click

from pipeline.errors import UsageError


@click.command(short_help="Serve one stage until stopped.")
@click.argument("stage")
@click.option(
    "--bind",
    default="127.0.0.1:0",
    show_default=True,
    metavar="ADDRESS",
    help="HOST:PORT, port 0 taking a free one, or unix:PATH.",
)
@click.option("--workload", default="events", show_default=True, help="Its workload.")
@click.option(
    "--folder",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A folder that ingest may read or the sink may write below; repeat for more.",
)
@click.option("--stdin", is_flag=True, help="Let ingest read standard input as '-'.")
@click.option(
    "--tls-certificate",
    type=click.Path(path_type=Path),
    help="Serve under TLS: a PEM file of the certificate chain.",
)
@click.option("--tls-key", type=click.Path(path_type=Path), help="The key's PEM file.")
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

    Prints one line of JSON with the stage and the address that it has bound; all else
    goes to standard error. SIGTERM drains: open streams finish, new ones are refused.
    """
    # Here and not above, because the other commands need no server.
    from pipeline.transport.credentials import server_credentials
    from pipeline.transport.folders import ServedFolders
    from pipeline.transport.server import StageServer, serve_until_stopped
    from pipeline.workloads import workload_named

    logging.basicConfig(
        level=logging.INFO, format=f"%(asctime)s {stage} %(levelname)s %(message)s"
    )
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
        click.echo(json.dumps(handshake))

    serve_until_stopped(server, announce, lifeline)
