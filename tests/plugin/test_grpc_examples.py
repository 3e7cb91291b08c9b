"""Services like those of gRPC's public examples are served as they are there."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import grpc
import pytest
import trustme

from pytest_pipeline import StageServerFactory
from pytest_pipeline.options import Hosting, Transport
from pytest_pipeline.servers.handle import Server
from tests.plugin.route_guide import (
    AioAuthorising,
    AioRouteGuide,
    Authorising,
    BearerToken,
    CallerGuide,
    FlakyGuide,
    NamingCaller,
    RouteGuide,
    RouteGuideStub,
    add_RouteGuideServicer_to_server,
)

BOTH = pytest.mark.parametrize("guide", [RouteGuide, AioRouteGuide])


def serve(factory: StageServerFactory, guide: type, **arguments: Any) -> Server:
    """Start a route guide."""
    return factory(guide, add_to_server=add_RouteGuideServicer_to_server, **arguments)


def code_of(call: Any, request: Any) -> grpc.StatusCode:
    """Return the status that a call fails with."""
    with pytest.raises(grpc.RpcError) as failed:
        call(request)
    code: grpc.StatusCode = failed.value.code()
    return code


@pytest.mark.parametrize(
    ("guide", "servers", "transport"),
    [
        (RouteGuide, "inprocess", "unix"),
        (RouteGuide, "inprocess", "tcp"),
        (RouteGuide, "inprocess", "tls"),
        (AioRouteGuide, "inprocess", "unix"),
        (AioRouteGuide, "inprocess", "tcp"),
        (AioRouteGuide, "inprocess", "tls"),
        (RouteGuide, "subprocess", "unix"),
        (AioRouteGuide, "subprocess", "tls"),
    ],
)
def test_a_route_guide_answers_all_four_kinds_of_call(
    stage_server: StageServerFactory,
    guide: type,
    servers: Hosting,
    transport: Transport,
) -> None:
    """With its errors, and what it keeps from one call to the next."""
    stub = serve(stage_server, guide, servers=servers, transport=transport).stub

    assert stub.GetFeature([2, 3]) == ["lighthouse"]
    assert code_of(stub.GetFeature, [0, 0]) is grpc.StatusCode.NOT_FOUND
    assert list(stub.ListFeatures([[0, 0], [5, 5]])) == [["mill"], ["lighthouse"]]
    route = stub.RecordRoute(iter([[0, 0], [2, 3], [2, 0]]))
    assert route == {"points": 3, "length": 8}
    notes = [([1, 1], "first"), ([2, 2], "other"), ([1, 1], "second")]
    assert list(stub.RouteChat(iter(notes))) == [[[1, 1], "first"]]
    assert len(list(stub.RouteChat(iter(notes[:1])))) == 2


@BOTH
def test_a_route_guide_is_driven_from_asyncio(
    stage_server: StageServerFactory, guide: type
) -> None:
    """On a channel of the test's event loop."""
    server = serve(stage_server, guide)

    async def drive() -> list[Any]:
        async with server.aio_channel() as channel:
            stub: Any = RouteGuideStub(channel)
            chat = stub.RouteChat(iter([([1, 1], "a"), ([1, 1], "b")]))
            return [
                await stub.GetFeature([1, 1]),
                [each async for each in stub.ListFeatures([[0, 0], [5, 5]])],
                await stub.RecordRoute(iter([[0, 0], [0, 4]])),
                [note async for note in chat],
            ]

    assert asyncio.run(drive()) == [
        ["mill"],
        [["mill"], ["lighthouse"]],
        {"points": 2, "length": 4},
        [[[1, 1], "a"]],
    ]


@pytest.mark.parametrize(
    ("guide", "interceptor", "servers"),
    [
        (RouteGuide, Authorising(), "inprocess"),
        (AioRouteGuide, AioAuthorising(), "inprocess"),
        (RouteGuide, Authorising(), "subprocess"),
    ],
    ids=["threads", "aio", "process"],
)
def test_calls_are_signed_by_call_credentials(
    stage_server: StageServerFactory,
    guide: type,
    interceptor: object,
    servers: Hosting,
) -> None:
    """Over TLS, on both kinds of channel; without the signature they are refused."""
    server = serve(
        stage_server,
        guide,
        servers=servers,
        transport="tls",
        interceptors=[interceptor],
        call_credentials=grpc.metadata_call_credentials(BearerToken()),
    )
    assert server.stub.GetFeature([1, 1]) == ["mill"]
    assert server.health == "SERVING"

    async def ask() -> Any:
        async with server.aio_channel() as channel:
            stub: Any = RouteGuideStub(channel)
            return await stub.GetFeature([1, 1])

    assert asyncio.run(ask()) == ["mill"]
    if servers == "inprocess":
        unsigned = serve(
            stage_server, guide, transport="tls", interceptors=[interceptor]
        )
        refused = code_of(unsigned.stub.GetFeature, [1, 1])
        assert refused is grpc.StatusCode.UNAUTHENTICATED


def test_interceptors_of_asyncio_share_a_context_with_the_rpc(
    stage_server: StageServerFactory,
) -> None:
    """They run in the order in which they are given."""
    server = serve(
        stage_server, CallerGuide, interceptors=[NamingCaller("a"), NamingCaller("b")]
    )

    assert server.stub.GetFeature([1, 1]) == ["nobody a b"]


@BOTH
@pytest.mark.parametrize("transport", [None, "tcp", "tls"])
def test_a_server_may_require_certificates_of_its_clients(
    stage_server: StageServerFactory, guide: type, transport: Transport | None
) -> None:
    """Both ends have credentials of the user, whose authority is not the session's."""
    authority = trustme.CA()
    root = authority.cert_pem.bytes()
    ours = authority.issue_cert("localhost", "127.0.0.1")
    theirs = authority.issue_cert("client@example.org")

    server = serve(
        stage_server,
        guide,
        transport=transport,
        credentials=grpc.ssl_server_credentials(
            [(ours.private_key_pem.bytes(), ours.cert_chain_pems[0].bytes())],
            root_certificates=root,
            require_client_auth=True,
        ),
        channel_credentials=grpc.ssl_channel_credentials(
            root, theirs.private_key_pem.bytes(), theirs.cert_chain_pems[0].bytes()
        ),
    )

    assert server.stub.GetFeature([1, 1]) == ["mill"]


def test_a_retry_policy_is_an_option_of_the_channel(
    stage_server: StageServerFactory,
) -> None:
    """Calls are repeated as the service configuration says."""
    policy = {
        "maxAttempts": 4,
        "initialBackoff": "0.01s",
        "maxBackoff": "0.1s",
        "backoffMultiplier": 1,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    config = {"methodConfig": [{"name": [{}], "retryPolicy": policy}]}
    server = serve(
        stage_server,
        FlakyGuide,
        channel_options=[("grpc.service_config", json.dumps(config))],
    )

    assert server.stub.GetFeature([1, 1]) == ["mill"]
