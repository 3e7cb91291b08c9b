"""Servers of a session under TLS and under mutual TLS, and proxies in front of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from pipeline.transport.credentials import channel_credentials
from pytest_pipeline import PipelineRunner, StageServerFactory
from pytest_pipeline.options import Hosting, Transport
from pytest_pipeline.servers.workspace import Certificates
from tests.plugin.greeter import AioGreeter, Greeter, GreeterStub, name, serve


@contextmanager
def client(address: str, credentials: grpc.ChannelCredentials | None) -> Iterator[Any]:
    """A client that production code might make for itself."""
    channel = (
        grpc.secure_channel(address, credentials)
        if credentials
        else grpc.insecure_channel(address)
    )
    with channel:
        yield GreeterStub(channel)


def is_refused(address: str, credentials: grpc.ChannelCredentials | None) -> bool:
    """Return whether a client gets no connection."""
    with client(address, credentials) as stub:
        try:
            stub.Greet(name("you"), timeout=20)
        except grpc.RpcError as error:
            return bool(error.code() is grpc.StatusCode.UNAVAILABLE)
    return False


@pytest.fixture
def no_certificate(pipeline_certificates: Certificates) -> grpc.ChannelCredentials:
    """Credentials of a client that trusts this session, and has no certificate."""
    return grpc.ssl_channel_credentials(pipeline_certificates.root.read_bytes())


@pytest.mark.parametrize("servers", ["inprocess", "subprocess"])
@pytest.mark.parametrize("servicer", [Greeter, AioGreeter])
def test_under_mutual_tls_a_client_needs_a_certificate(
    stage_server: StageServerFactory,
    no_certificate: grpc.ChannelCredentials,
    servicer: Callable[[], object],
    servers: Hosting,
) -> None:
    """The server's own channels show one."""
    server = serve(stage_server, servicer(), servers=servers, transport="mtls")

    assert not is_refused(server.address, server.channel_credentials)
    assert is_refused(server.address, no_certificate)
    assert is_refused(server.address, None)


def test_a_client_of_its_own_reads_the_files_of_the_session(
    stage_server: StageServerFactory, pipeline_certificates: Certificates
) -> None:
    """The authority, the certificate and its key, as production gives them."""
    server = serve(stage_server, Greeter(), transport="mtls")
    mine = pipeline_certificates
    credentials = channel_credentials(mine.root, mine.certificate, mine.key)

    with client(server.address, credentials) as stub:
        assert stub.Greet(name("you"), timeout=20).value == "hello you"


@pytest.mark.parametrize("servers", ["inprocess", "subprocess"])
def test_a_stage_needs_a_certificate_too(
    stage_server: StageServerFactory,
    no_certificate: grpc.ChannelCredentials,
    servers: Hosting,
) -> None:
    """Not only servicers of the user, which are served differently."""
    server = stage_server("parse", servers=servers, transport="mtls")

    assert server.health == "SERVING"
    assert is_refused(server.address, no_certificate)


@pytest.mark.pipeline(transport="mtls", batch_sizes=[10], events=50)
def test_a_run_under_mutual_tls_has_the_result_of_the_monolith(
    run_pipeline: PipelineRunner,
) -> None:
    """The orchestrator shows the certificate to every stage."""
    assert run_pipeline().output == run_pipeline(engine="monolith").output


@pytest.mark.parametrize("transport", ["tls", "mtls"])
def test_a_proxy_of_faults_has_the_tls_of_its_server(
    stage_server: StageServerFactory,
    no_certificate: grpc.ChannelCredentials,
    transport: Transport,
) -> None:
    """So a client under test connects to it as to the server."""
    server = serve(stage_server, Greeter(), transport=transport)
    proxy = server.faults

    assert not is_refused(proxy.address, server.channel_credentials)
    assert proxy.stub_for(GreeterStub).Greet(name("you")).value == "hello you"  # type: ignore[attr-defined]
    assert is_refused(proxy.address, None)
    assert is_refused(proxy.address, no_certificate) is (transport == "mtls")


def test_a_proxy_has_no_tls_where_the_user_brings_credentials(
    stage_server: StageServerFactory, no_certificate: grpc.ChannelCredentials
) -> None:
    """It can't know what the clients of that server trust."""
    server = serve(
        stage_server,
        Greeter(),
        transport="tls",
        channel_credentials=no_certificate,
    )

    assert not is_refused(server.faults.address, None)
