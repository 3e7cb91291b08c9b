"""The process of a servicer that a test hands over: ``python -m`` this module.

Standard input has the servicer, pickled; the rest is as `pipeline serve` does it.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import pickle
import sys
from pathlib import Path

from pipeline.transport.server import serve_until_stopped
from pytest_pipeline.servers.servicers import UserServicer


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("servicer", type=Path)
    parser.add_argument("--bind", required=True)
    parser.add_argument("--tls-certificate", type=Path)
    parser.add_argument("--tls-key", type=Path)
    parser.add_argument("--lifeline", type=int)
    arguments = parser.parse_args()
    logging.basicConfig(
        level=logging.INFO,
        format=f"%(asctime)s {arguments.name} %(levelname)s %(message)s",
    )
    # Written by the test session that has started this process.
    servicer: UserServicer = pickle.loads(arguments.servicer.read_bytes())  # noqa: S301
    credentials = None
    if arguments.tls_certificate:
        from pipeline.transport.credentials import server_credentials

        credentials = server_credentials(arguments.tls_certificate, arguments.tls_key)
    server = servicer.serve(arguments.name, arguments.bind, credentials)

    def announce() -> None:
        handshake = {"address": server.address, "pid": os.getpid()}
        sys.stdout.write(f"{json.dumps(handshake)}\n")
        sys.stdout.flush()

    serve_until_stopped(server, announce, arguments.lifeline)


if __name__ == "__main__":
    main()
