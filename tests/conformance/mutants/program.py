"""Mutants of the process around a stage: run this module with the name of one.

Each serves the honest parse stage in a program that does one thing wrong.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from pipeline.transport.server import serve_until_stopped
from pytest_pipeline.servers.servicers import add_stage
from tests.conformance.mutants.honest import Honest

#: The programs, and the check that must catch each.
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
    """The honest stage in a server of its own."""

    def __init__(self, name: str) -> None:
        self._server = grpc.server(ThreadPoolExecutor())
        add_stage(Honest(), self._server)
        watched_only = name == "says-serving-only-to-watchers"
        servicer = SilentHealth() if watched_only else health.HealthServicer()
        servicer.set("", health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(servicer, self._server)
        self._name = name
        self._port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def announce(self) -> None:
        """Handle SIGTERM as the mutant does, and print the handshake."""
        if self._name == "cuts-what-is-open":
            signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        if self._name == "outlives-sigterm":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stage = "rules" if self._name == "says-another-stage" else "parse"
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
    program = Program(sys.argv[1])
    serve_until_stopped(program, program.announce)
