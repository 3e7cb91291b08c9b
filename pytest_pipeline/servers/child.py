"""The process that serves a pickled servicer: run with ``python -m``.

The file named on the command line has the servicer. The handshake, the lifeline and the
signals are those of `pipeline serve`.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import pickle
from pathlib import Path

from pipeline.standard_streams import claim_standard_output
from pipeline.transport.server import serve_until_stopped
from pytest_pipeline.servers.servicers import UserServicer


def main() -> None:
    """Serve until a signal or the end of the lifeline."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("servicer", type=Path)
    parser.add_argument("--bind", required=True)
    parser.add_argument("--tls-certificate", type=Path)
    parser.add_argument("--tls-key", type=Path)
    parser.add_argument("--tls-client-ca", type=Path)
    parser.add_argument("--lifeline", type=int)
    arguments = parser.parse_args()
    logging.basicConfig(
        level=logging.INFO,
        format=f"%(asctime)s {arguments.name} %(levelname)s %(message)s",
    )
    # Before the servicer is imported: whatever it prints belongs to the log.
    handshake_file = claim_standard_output()
    # The file was written by the test session that started this process.
    servicer: UserServicer = pickle.loads(arguments.servicer.read_bytes())  # noqa: S301
    credentials = None
    if arguments.tls_certificate:
        from pipeline.transport.credentials import server_credentials

        credentials = server_credentials(
            arguments.tls_certificate, arguments.tls_key, arguments.tls_client_ca
        )
    server = servicer.serve(arguments.name, arguments.bind, credentials)

    def announce() -> None:
        handshake = {"address": server.address, "pid": os.getpid()}
        with handshake_file:
            handshake_file.write(f"{json.dumps(handshake)}\n".encode())

    serve_until_stopped(server, announce, arguments.lifeline)


if __name__ == "__main__":
    main()
