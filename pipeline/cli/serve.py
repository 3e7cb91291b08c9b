"""The command `pipeline serve`."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import click

from pipeline.cli.output import say
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
@click.option(
    "--tls-client-ca",
    type=click.Path(path_type=Path),
    help="Serve only clients with a certificate that this PEM file vouches for.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help="Serve only clients that send the token in this file. Needs TLS.",
)
@click.option(
    "--insecure",
    is_flag=True,
    help="Listen on an address that other machines reach without TLS.",
)
@click.option(
    "--max-message-bytes",
    type=click.IntRange(0, 2**31 - 1),
    default=64 * 1024 * 1024,
    show_default="64 MiB",
    help="Refuse larger messages; 0 refuses none.",
)
@click.option(
    "--idle-timeout",
    "idle_s",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    show_default="no limit",
    help="End a stream when its client has neither sent nor taken anything for so "
    "long. Leave room for a source that waits.",
)
@click.option("--urls", is_flag=True, hidden=True)
@click.option("--lifeline", type=int, hidden=True)
def serve(
    stage: str,
    bind: str,
    workload: str,
    folders: tuple[Path, ...],
    stdin: bool,
    tls_certificate: Path | None,
    tls_key: Path | None,
    tls_client_ca: Path | None,
    token_file: Path | None,
    insecure: bool,
    max_message_bytes: int,
    idle_s: float | None,
    urls: bool,
    lifeline: int | None,
) -> None:
    """Serve STAGE of a workload: ingest, parse, rules, aggregate or sink.

    When it is ready, the server prints one line of JSON: stage, workload, address and
    process ID. Nothing else goes to standard output, which is closed then. It logs to
    standard error, and so does everything that the workload prints.

    On SIGTERM, SIGINT or SIGHUP, the server finishes its open streams, refuses new
    ones, and exits, after 30 seconds at the latest.

    An address that other machines reach needs TLS or --insecure. A server there reads
    no named pipes. A socket is for its owner only.

    Exit codes: 0 stopped, 1 failed, 2 wrong usage.
    """
    # Imported here because the other commands need no server.
    from pipeline.cli.log import OneLineFormatter
    from pipeline.transport.admission import ServerLimits
    from pipeline.transport.credentials import TokenCheck, server_credentials
    from pipeline.transport.disclosure import Disclosure
    from pipeline.transport.folders import ServedFolders
    from pipeline.transport.server import (
        StageServer,
        check_bind,
        is_health,
        is_private,
        serve_until_stopped,
    )
    from pipeline.workloads import workload_named

    handler = logging.StreamHandler()
    handler.setFormatter(OneLineFormatter(f"%(asctime)s {stage} %(levelname)s "))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # Before the workload is imported: whatever it prints belongs to the log.
    handshake_file = claim_standard_output()
    if (tls_certificate is None) != (tls_key is None):
        raise UsageError("--tls-certificate and --tls-key: give both or neither")
    check_bind(bind)
    credentials = None
    if tls_certificate and tls_key:
        credentials = server_credentials(tls_certificate, tls_key, tls_client_ca)
    for option, given in {
        "--tls-client-ca": tls_client_ca,
        "--token-file": token_file,
    }.items():
        if given and credentials is None:
            raise UsageError(
                f"{option}: needs TLS; give --tls-certificate and --tls-key too"
            )
    if credentials is None and not is_private(bind):
        if not insecure:
            raise UsageError(
                f"--bind {bind}: other machines reach it; give --tls-certificate and "
                f"--tls-key, or --insecure if everyone there may use this server"
            )
        say(f"warning: {bind} is served without TLS, to everyone who reaches it")
    server = StageServer(
        workload_named(workload),
        stage,
        bind,
        ServedFolders(folders, standard_input=stdin, pipes=is_private(bind), urls=urls),
        credentials,
        [TokenCheck(token_file, is_health)] if token_file else [],
        limits=ServerLimits(message_bytes=max_message_bytes, idle_s=idle_s),
        disclosure=Disclosure.from_environment(os.environ),
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
    if not server.wait_for_handlers():
        # Python would wait at exit for a handler that never returns.
        logging.shutdown()
        os._exit(0)
