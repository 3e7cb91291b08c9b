"""Servers that were started elsewhere, with and without a health service."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from grpc_health.v1 import health, health_pb2_grpc

from pipeline.errors import StageError
from pytest_pipeline import StageServerFactory
from tests.plugin.greeter import Greeter, GreeterStub, add_GreeterServicer_to_server

YOU = StringValue(value="you")

PROGRAM = """
import json
from concurrent.futures import ThreadPoolExecutor
import grpc
from tests.plugin.greeter import Greeter, add_GreeterServicer_to_server

server = grpc.server(ThreadPoolExecutor(2))
add_GreeterServicer_to_server(Greeter(), server)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(json.dumps({"address": f"127.0.0.1:{port}"}), flush=True)
server.wait_for_termination(60)
"""


class Refusing(grpc.ServerInterceptor):
    """Refuses calls without a token."""

    def __init__(self, code: grpc.StatusCode) -> None:
        self._code = code

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        """Look for the token."""
        if ("token", "secret") in [tuple(each) for each in details.invocation_metadata]:
            return continuation(details)

        def refuse(_: Any, context: grpc.ServicerContext) -> None:
            context.abort(self._code, "no token")

        return grpc.unary_unary_rpc_method_handler(refuse)


@contextlib.contextmanager
def running(
    *interceptors: grpc.ServerInterceptor, with_health: bool = False
) -> Iterator[str]:
    """Serve a greeter as gRPC's own examples do; yield its address."""
    with ThreadPoolExecutor(4) as threads:
        server = grpc.server(
            threads, interceptors=list(interceptors), options=[("grpc.so_reuseport", 0)]
        )
        add_GreeterServicer_to_server(Greeter(), server)
        if with_health:
            health_pb2_grpc.add_HealthServicer_to_server(
                health.HealthServicer(), server
            )
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()


def test_a_server_without_health_is_attached_to_if_asked_for(
    stage_server: StageServerFactory,
) -> None:
    """It is ready when it accepts a connection."""
    with running() as address:
        server = stage_server(address, stub=GreeterStub, health_check=False)

        assert server.stub.Greet(YOU).value == "hello you"
        assert server.health == "UNIMPLEMENTED"


def test_a_server_without_health_is_refused_by_default(
    stage_server: StageServerFactory,
) -> None:
    """The line says how to attach to it all the same."""
    with (
        running() as address,
        pytest.raises(StageError, match=r"or give .*health_check=False"),
    ):
        stage_server(address, stub=GreeterStub)


@pytest.mark.parametrize("code", ["UNAUTHENTICATED", "PERMISSION_DENIED"])
def test_a_server_that_refuses_to_be_asked_is_ready(
    stage_server: StageServerFactory, code: str
) -> None:
    """Who refuses is there; with a token, the same server answers."""
    refusing = Refusing(grpc.StatusCode[code])
    with running(refusing, with_health=True) as address:
        server = stage_server(address, stub=GreeterStub)
        assert server.health == code

        trusted = stage_server(
            address, stub=GreeterStub, metadata={"token": "secret"}.items()
        )
        assert trusted.health == "SERVING"
        assert trusted.stub.Greet(YOU).value == "hello you"


def test_nobody_is_not_attached_to(
    stage_server: StageServerFactory, tmp_path: Path
) -> None:
    """Without a check of health either."""
    with pytest.raises(StageError, match=r"accepted no connection within 0\.2 s"):
        stage_server(f"unix:{tmp_path}/nobody", start_timeout=0.2, health_check=False)


def test_a_command_without_health_is_started_if_asked_for(
    stage_server: StageServerFactory,
) -> None:
    """It prints its address as every command does."""
    server = stage_server(
        [sys.executable, "-c", PROGRAM], stub=GreeterStub, health_check=False
    )

    assert server.stub.Greet(YOU).value == "hello you"
