"""A server under test is the server that production has: gRPC's defaults, arguments."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from pipeline.errors import UsageError
from pipeline.v1.pipeline_pb2 import Batch
from pytest_pipeline import StageServerFactory
from tests.plugin.greeter import (
    AioGreeter,
    Greeter,
    GreeterStub,
    serve,
)

YOU = StringValue(value="you")
# gRPC receives up to 4 MiB by default.
LARGE = "x" * (4 * 1024 * 1024)
UNLIMITED = [("grpc.max_receive_message_length", -1)]


class Answering(Greeter):
    """Answers with a long or a short text, as it is asked."""

    def Greet(self, request: StringValue, _: Any) -> StringValue:  # noqa: N802
        """Answer."""
        return StringValue(value=LARGE if request.value == "long" else "short")


class AioAnswering(AioGreeter):
    """Answers with a long or a short text, as it is asked."""

    async def Greet(self, request: StringValue, _: Any) -> StringValue:  # noqa: N802
        """Answer."""
        return StringValue(value=LARGE if request.value == "long" else "short")


class Echo:
    """A servicer of the contract of stages."""

    def Process(self, requests: Iterator[Batch], _: Any) -> Iterator[Batch]:  # noqa: N802
        """Return each batch."""
        yield from requests


def code_of(call: Callable[[], object]) -> grpc.StatusCode:
    """Return the status that a call fails with."""
    with pytest.raises(grpc.RpcError) as failed:
        call()
    code: grpc.StatusCode = failed.value.code()
    return code


@pytest.mark.parametrize(
    "servicer", [Answering(), AioAnswering()], ids=["threads", "aio"]
)
def test_a_message_over_4_mib_fails_as_in_production(
    stage_server: StageServerFactory, servicer: object
) -> None:
    """At the server when it is sent, and at the client when it is received."""
    server = serve(stage_server, servicer)
    exhausted = grpc.StatusCode.RESOURCE_EXHAUSTED

    assert code_of(lambda: server.stub.Greet(StringValue(value=LARGE))) is exhausted
    assert code_of(lambda: server.stub.Greet(StringValue(value="long"))) is exhausted
    assert server.stub.Greet(StringValue(value=LARGE[:-100])).value == "short"


def test_limits_of_messages_are_arguments_of_server_and_channel(
    stage_server: StageServerFactory,
) -> None:
    """Each end has its own, as in gRPC."""
    server = serve(stage_server, Answering(), options=UNLIMITED)
    assert server.stub.Greet(StringValue(value=LARGE)).value == "short"
    assert code_of(lambda: server.stub.Greet(StringValue(value="long"))) is (
        grpc.StatusCode.RESOURCE_EXHAUSTED
    )

    client = serve(stage_server, Answering(), channel_options=UNLIMITED)
    assert client.stub.Greet(StringValue(value="long")).value == LARGE
    assert code_of(lambda: client.stub.Greet(StringValue(value=LARGE))) is (
        grpc.StatusCode.RESOURCE_EXHAUSTED
    )


def test_a_channel_for_asyncio_has_the_limits_of_the_other(
    stage_server: StageServerFactory,
) -> None:
    """And its own options come on top."""
    server = serve(stage_server, Answering())

    async def ask(options: list[tuple[str, Any]]) -> int:
        async with server.aio_channel(options) as channel:
            stub: Any = GreeterStub(channel)
            return len((await stub.Greet(StringValue(value="long"))).value)

    assert asyncio.run(ask(UNLIMITED)) == len(LARGE)
    with pytest.raises(grpc.aio.AioRpcError, match="RESOURCE_EXHAUSTED"):
        asyncio.run(ask([]))


def test_stages_take_messages_of_any_size(stage_server: StageServerFactory) -> None:
    """Batches are limited in bytes where they are cut."""
    server = stage_server(Echo())
    batch = Batch(number=0, records=1)
    batch.payload.value = b"x" * (5 * 1024 * 1024)

    assert list(server.stub.Process(iter([batch]))) == [batch]


class Refusing(grpc.ServerInterceptor):
    """Lets calls with a token pass."""

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        """Look for the token."""
        if ("token", "secret") in [tuple(each) for each in details.invocation_metadata]:
            return continuation(details)

        def refuse(_: Any, context: grpc.ServicerContext) -> None:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token")

        return grpc.unary_unary_rpc_method_handler(refuse)


class AioRefusing(grpc.aio.ServerInterceptor):
    """Lets calls with a token pass."""

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        """Look for the token."""
        if ("token", "secret") in [tuple(each) for each in details.invocation_metadata]:
            return await continuation(details)

        async def refuse(_: Any, context: Any) -> None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token")

        return grpc.unary_unary_rpc_method_handler(refuse)


KINDS = pytest.mark.parametrize(
    ("servicer", "interceptor"),
    [(Greeter(), Refusing()), (AioGreeter(), AioRefusing())],
    ids=["threads", "aio"],
)


@KINDS
def test_interceptors_see_calls_and_the_metadata_of_the_client(
    stage_server: StageServerFactory, servicer: object, interceptor: object
) -> None:
    """Metadata is sent with every kind of call, and with the check of health."""
    server = serve(
        stage_server,
        servicer,
        interceptors=[interceptor],
        metadata=[("token", "secret")],
    )
    stub = server.stub

    assert stub.Greet(YOU, metadata=[("more", "1")]).value == "hello you"
    assert [each.value for each in stub.GreetEach(YOU)] == ["hello you"]
    assert stub.GreetAll(iter([YOU])).value == "hello you"
    assert [each.value for each in stub.Chat(iter([YOU]))] == ["hello you"]
    assert server.health == "SERVING"

    async def greet() -> list[str]:
        async with server.aio_channel() as channel:
            stub: Any = GreeterStub(channel)
            return [
                (await stub.Greet(YOU)).value,
                *[each.value async for each in stub.GreetEach(YOU)],
                (await stub.GreetAll(iter([YOU]))).value,
                *[each.value async for each in stub.Chat(iter([YOU]))],
            ]

    assert asyncio.run(greet()) == ["hello you"] * 4


@KINDS
def test_a_server_that_refuses_the_client_can_be_tested(
    stage_server: StageServerFactory, servicer: object, interceptor: object
) -> None:
    """It is ready although it refuses the check of its health."""
    server = serve(stage_server, servicer, interceptors=[interceptor])

    unauthenticated = grpc.StatusCode.UNAUTHENTICATED
    assert code_of(lambda: server.stub.Greet(YOU)) is unauthenticated
    assert server.health == "UNAUTHENTICATED"


def test_interceptors_work_in_a_process(stage_server: StageServerFactory) -> None:
    """They are pickled with the servicer; gRPC's limits hold there as well."""
    server = serve(
        stage_server, Greeter, interceptors=[Refusing()], servers="subprocess"
    )
    large = StringValue(value=LARGE)

    assert code_of(lambda: server.stub.Greet(YOU)) is grpc.StatusCode.UNAUTHENTICATED
    token = [("token", "secret")]
    assert server.stub.Greet(YOU, metadata=token).value == "hello you"
    assert code_of(lambda: server.stub.Greet(large, metadata=token)) is (
        grpc.StatusCode.RESOURCE_EXHAUSTED
    )


def test_max_workers_limits_the_rpcs_that_run(stage_server: StageServerFactory) -> None:
    """A second call waits while one thread is busy with the first."""
    started, go_on = threading.Event(), threading.Event()

    class Slow(Greeter):
        def Greet(self, request: StringValue, _: Any) -> StringValue:  # noqa: N802
            if request.value == "slow":
                started.set()
                go_on.wait(10)
            return request

    server = serve(stage_server, Slow(), max_workers=1)
    slow = server.stub.Greet.future(StringValue(value="slow"))
    assert started.wait(10)
    late = code_of(lambda: server.stub.Greet(YOU, timeout=0.1))
    go_on.set()

    assert slow.result().value == "slow"
    assert late is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("servicer", [Greeter(), AioGreeter()], ids=["threads", "aio"])
def test_compression_is_that_of_replies(
    stage_server: StageServerFactory, servicer: object
) -> None:
    """The server says so in its initial metadata, by gRPC's own key."""
    server = serve(stage_server, servicer, compression=grpc.Compression.Gzip)
    # The client is told of the encoding only when it does not undo it itself.
    channel_options = [("grpc.per_message_decompression", 0)]
    with grpc.insecure_channel(server.address, options=channel_options) as channel:
        greet: Any = channel.unary_unary("/example.Greeter/Greet")
        reply: bytes = greet(StringValue(value="y" * 1000).SerializeToString())

    assert reply.startswith(b"\x1f\x8b")


def test_credentials_of_a_user_are_used(stage_server: StageServerFactory) -> None:
    """With gRPC's local credentials, for instance, which need no certificate."""
    server = serve(
        stage_server,
        Greeter(),
        transport="unix",
        credentials=grpc.local_server_credentials(grpc.LocalConnectionType.UDS),
        channel_credentials=grpc.local_channel_credentials(
            grpc.LocalConnectionType.UDS
        ),
    )

    assert server.stub.Greet(YOU).value == "hello you"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"interceptors": [AioRefusing()]}, "must be a grpc.ServerInterceptor, since"),
        ({"interceptors": [Refusing]}, "the class Refusing must be"),
        ({"interceptors": [Refusing()], "aio": True}, "must be a grpc.aio.Server"),
        ({"options": ["grpc.so_reuseport"]}, "options=.*: must be pairs, such as"),
        ({"channel_options": [("a", 1, 2)]}, "channel_options=.*: must be pairs"),
        ({"metadata": "token"}, "metadata='token': must be pairs, such as"),
        ({"metadata": [("Token", "x")]}, "metadata 'Token': gRPC takes keys in lower"),
        ({"metadata": {"token": 3}}, "metadata 'token': gRPC takes .* values"),
        ({"max_workers": 0}, "max_workers=0: must be a number from 1"),
        ({"max_workers": True}, "max_workers=True: must be a number from 1"),
        (
            {"credentials": grpc.local_server_credentials()},
            r"credentials=\.{3}\): how do clients trust the server",
        ),
        (
            {"call_credentials": grpc.access_token_call_credentials("x")},
            "over TLS only, and the transport is unix",
        ),
    ],
    ids=range(12),
)
def test_wrong_arguments_are_refused_with_one_line(
    stage_server: StageServerFactory, arguments: dict[str, Any], message: str
) -> None:
    """The line names the argument and says what it must be."""
    with pytest.raises(UsageError, match=message) as refused:
        serve(stage_server, Greeter(), **arguments)

    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("what", ["parse", ["serve", "it"], "localhost:1"])
def test_arguments_of_a_server_that_is_not_made_here_are_refused(
    stage_server: StageServerFactory, what: object
) -> None:
    """Nothing is silently left out."""
    with pytest.raises(UsageError, match=r"max_workers.* are for a servicer"):
        stage_server(what, max_workers=1)


def test_an_argument_that_can_not_be_pickled_is_named(
    stage_server: StageServerFactory,
) -> None:
    """Credentials of gRPC, for instance, stay in this process."""
    with pytest.raises(UsageError, match=r"Greeter: credentials: can't be sent to a"):
        serve(
            stage_server,
            Greeter(),
            servers="subprocess",
            credentials=grpc.local_server_credentials(),
            channel_credentials=grpc.local_channel_credentials(),
        )
