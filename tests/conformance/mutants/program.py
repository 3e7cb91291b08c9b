"""Mutants of the process around a stage: run this module with the name of one.

Each serves an honest stage in a program that does one thing wrong. The stage is parse
unless it is named too, with the folder to serve.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from pipeline.transport.server import serve_until_stopped
from tests.conformance.mutants.honest import Honest, HonestServer
from tests.conformance.mutants.honest_ingest import HonestIngest
from tests.conformance.mutants.honest_sink import HonestSink

#: The honest stage of each kind, by its name.
HONEST: Mapping[str, type[HonestServer]] = {
    "ingest": HonestIngest,
    "parse": Honest,
    "sink": HonestSink,
}

#: The programs, and the check that must catch each, whatever the kind of stage.
PROGRAMS: Mapping[str, str] = {
    "says-another-stage": "start.handshake",
    "says-serving-only-to-watchers": "start.health",
    "cuts-what-is-open": "stop.drain",
    "outlives-sigterm": "stop.drain",
}


class SilentHealth(health.HealthServicer):
    """Reports SERVING to `Watch` and NOT_SERVING to `Check`."""

    def Check(
        self,
        request: health_pb2.HealthCheckRequest,  # noqa: ARG002 - the signature of gRPC
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> health_pb2.HealthCheckResponse:
        """Report NOT_SERVING."""
        return health_pb2.HealthCheckResponse(
            status=health_pb2.HealthCheckResponse.NOT_SERVING
        )


class Program:
    """An honest stage in a server of its own."""

    def __init__(self, name: str, stage: str = "parse", folder: str = ".") -> None:
        self._server = grpc.server(ThreadPoolExecutor())
        honest = HONEST[stage]()
        honest.folder = Path(folder)
        honest.add_to_server(honest, self._server)
        watched_only = name == "says-serving-only-to-watchers"
        servicer = SilentHealth() if watched_only else health.HealthServicer()
        servicer.set("", health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(servicer, self._server)
        self._name, self._stage = name, stage
        self._port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def announce(self) -> None:
        """Handle SIGTERM as the mutant does, and print the handshake."""
        if self._name == "cuts-what-is-open":
            signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        if self._name == "outlives-sigterm":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stage = "rules" if self._name == "says-another-stage" else self._stage
        said = {"address": f"127.0.0.1:{self._port}", "stage": stage}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()

    def drain(self) -> None:
        """Let open streams finish."""
        self._server.stop(5.0).wait()

    def stop_now(self) -> None:
        """Cut open streams."""
        self._server.stop(None)


if __name__ == "__main__":
    program = Program(*sys.argv[1:])
    serve_until_stopped(program, program.announce)
