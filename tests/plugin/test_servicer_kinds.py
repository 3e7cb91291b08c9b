"""Every servicer that gRPC serves is served, however it is written."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from pipeline.errors import UsageError
from pytest_pipeline import StageServerFactory
from pytest_pipeline.options import Hosting
from pytest_pipeline.servers.handle import Server
from tests.plugin.greeter import (
    METHODS,
    SERVICE,
    AioGreeter,
    Greeter,
    GreeterStub,
    add_GreeterServicer_to_server,
)

YOU = StringValue(value="you")


class WhereStub:
    """Calls `Where`, beside the greeter."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.Where = channel.unary_unary(
            "/example.Where/Where",
            request_serializer=StringValue.SerializeToString,
            response_deserializer=StringValue.FromString,
        )


def add_where(servicer: Any, server: Any) -> None:
    """Add the service `Where`."""
    handler = grpc.unary_unary_rpc_method_handler(
        servicer.Where, StringValue.FromString, StringValue.SerializeToString
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("example.Where", {"Where": handler}),)
    )


def add_all(servicer: Any, server: Any) -> None:
    """Add both services."""
    add_GreeterServicer_to_server(servicer, server)
    add_where(servicer, server)


def here() -> StringValue:
    """Return ``loop`` in an event loop, and ``thread`` elsewhere."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return StringValue(value="thread")
    return StringValue(value="loop")


class Mixed(AioGreeter):
    """Greets in asyncio, and has one RPC for threads."""

    def Where(self, _: StringValue, context: grpc.ServicerContext) -> StringValue:  # noqa: N802
        """Tell where it runs."""
        context.set_trailing_metadata((("ran", "sync"),))
        return here()


class WithHelper(Greeter):
    """Greets in threads, and has helpers that are coroutines."""

    async def refresh(self) -> None:
        """Stand for a helper beside the RPCs."""

    async def watch(self) -> AsyncIterator[int]:
        """Stand for another helper."""
        yield 1

    def Where(self, _: StringValue, __: grpc.ServicerContext) -> StringValue:  # noqa: N802
        """Tell where it runs."""
        return here()


class OnInstance:
    """Has no RPC on its class; all of them are set on the instance."""

    def __init__(self, greeter: object) -> None:
        for name in METHODS:
            setattr(self, name, getattr(greeter, name))


class Delegating:
    """Finds its RPCs in another object when it is asked for them."""

    def __init__(self, greeter: object) -> None:
        self._greeter = greeter

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._greeter, name)


def counted(rpc: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate an RPC for threads."""

    @functools.wraps(rpc)
    def call(*args: Any) -> Any:
        return rpc(*args)

    return call


def counted_aio(rpc: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a coroutine function."""

    @functools.wraps(rpc)
    async def call(*args: Any) -> Any:
        return await rpc(*args)

    return call


def in_a_loop_of_its_own(rpc: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function for threads of a coroutine function."""

    @functools.wraps(rpc)
    def call(*args: Any) -> Any:
        return asyncio.run(rpc(*args))

    return call


class Decorated(Greeter):
    """Has a decorated RPC."""

    Greet = counted(Greeter.Greet)


class DecoratedAio(AioGreeter):
    """Has a decorated RPC."""

    Greet = counted_aio(AioGreeter.Greet)


class OutOfAio(Greeter):
    """Runs the coroutine function that it decorates in a loop of the call's own."""

    Greet = in_a_loop_of_its_own(AioGreeter.Greet)


class Partial(OnInstance):
    """Has an RPC that is a partial."""

    def __init__(self) -> None:
        super().__init__(Greeter())
        for name in ("Greet", "GreetEach"):
            setattr(self, name, functools.partial(getattr(AioGreeter, name), self))


def greets_in_all_ways(server: Server) -> bool:
    """Return whether all four kinds of call work."""
    stub = server.stub
    names = [StringValue(value="a"), StringValue(value="b")]
    return (
        stub.Greet(YOU).value == "hello you"
        and [each.value for each in stub.GreetEach(YOU)] == ["hello you"]
        and stub.GreetAll(iter(names)).value == "hello a and b"
        and [each.value for each in stub.Chat(iter(names))] == ["hello a", "hello b"]
    )


@pytest.mark.parametrize(
    "servicer",
    [
        WithHelper(),
        OnInstance(Greeter()),
        OnInstance(AioGreeter()),
        Delegating(Greeter()),
        Delegating(AioGreeter()),
        Decorated(),
        DecoratedAio(),
        OutOfAio(),
        Mixed(),
        Partial(),
    ],
    ids=[
        "with-helper",
        "on-instance",
        "on-instance-aio",
        "delegating",
        "delegating-aio",
        "decorated",
        "decorated-aio",
        "out-of-aio",
        "mixed",
        "partial",
    ],
)
def test_a_servicer_is_served_by_what_its_rpcs_are(
    stage_server: StageServerFactory, servicer: object
) -> None:
    """Not by what its class looks like."""
    server = stage_server(servicer, add_to_server=add_GreeterServicer_to_server)

    assert greets_in_all_ways(server)


def test_coroutines_beside_the_rpcs_do_not_make_a_servicer_asyncio(
    stage_server: StageServerFactory,
) -> None:
    """Its RPCs run in threads of a pool."""
    server = stage_server(WithHelper(), add_to_server=add_all)

    assert server.stub_for(WhereStub).Where(YOU).value == "thread"


@pytest.mark.parametrize("servers", ["inprocess", "subprocess"])
def test_an_rpc_for_threads_beside_coroutines_runs_in_a_thread(
    stage_server: StageServerFactory, servers: Hosting
) -> None:
    """As grpc.aio does it, with the context that such an RPC expects."""
    server = stage_server(Mixed(), add_to_server=add_all, servers=servers)

    reply, call = server.stub_for(WhereStub).Where.with_call(YOU)

    assert reply.value == "thread"
    assert ("ran", "sync") in [tuple(pair) for pair in call.trailing_metadata()]
    assert greeter_of(server).Greet(YOU).value == "hello you"


def test_aio_says_outright_which_server_serves(
    stage_server: StageServerFactory,
) -> None:
    """An asyncio server runs RPCs for threads in a pool."""
    seen: list[str] = []

    class Spying(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation: Any, details: Any) -> Any:
            seen.append(details.method)
            return await continuation(details)

    server = stage_server(
        Greeter(),
        add_to_server=add_GreeterServicer_to_server,
        aio=True,
        interceptors=[Spying()],
    )

    assert greets_in_all_ways(server)
    # The plugin itself has called nothing.
    assert seen == [f"/{SERVICE}/{name}" for name in METHODS]


def test_a_handler_that_gRPC_can_not_list_is_served_as_aio_says(  # noqa: N802
    stage_server: StageServerFactory,
) -> None:
    """A generic handler answers for any method, and has no list of them."""

    class Proxy(grpc.GenericRpcHandler):
        def service(self, _: grpc.HandlerCallDetails) -> Any:
            return grpc.unary_unary_rpc_method_handler(self.call)

        async def call(self, request: bytes, _: Any) -> bytes:
            return request[::-1]

    def add_proxy(proxy: Any, server: Any) -> None:
        server.add_generic_rpc_handlers((proxy,))

    server = stage_server(Proxy(), add_to_server=add_proxy, aio=True)

    call: Any = server.channel.unary_unary("/any/Method")
    assert call(b"abc") == b"cba"


def greeter_of(server: Server) -> Any:
    """Return a client of the greeter, beside another service."""
    return server.stub_for(GreeterStub)


class MadeInALoop(AioGreeter):
    """Can be made in an event loop only."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()

    async def Greet(self, request: StringValue, _: Any) -> StringValue:  # noqa: N802
        """Greet one, in the loop that the servicer was made in."""
        assert asyncio.get_running_loop() is self.loop
        return StringValue(value=f"hello {request.value}")


@pytest.mark.parametrize("aio", [None, True], ids=["found-out", "aio"])
def test_a_factory_of_an_asyncio_servicer_runs_in_its_event_loop(
    stage_server: StageServerFactory, aio: bool | None
) -> None:
    """If it needs one, or aio=True says that there is one."""
    server = stage_server(
        MadeInALoop, add_to_server=add_GreeterServicer_to_server, aio=aio
    )

    assert server.stub.Greet(YOU).value == "hello you"


def test_coroutine_functions_are_not_served_by_threads(
    stage_server: StageServerFactory,
) -> None:
    """Each call would fail; the line says so at once."""
    with pytest.raises(UsageError, match=r"aio=False\): has RPCs that are coroutine"):
        stage_server(
            AioGreeter(), add_to_server=add_GreeterServicer_to_server, aio=False
        )


class Waiting:
    """Answers only when it is told to."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def Where(self, _: StringValue, __: Any) -> StringValue:  # noqa: N802
        """Wait, and tell where it runs."""
        self.go_on.wait(10)
        return here()


def test_several_services_have_a_stub_each(stage_server: StageServerFactory) -> None:
    """Of one function of the user, which is given all the servicers."""

    def add_both(servicers: Any, server: Any) -> None:
        greeter, where = servicers
        add_GreeterServicer_to_server(greeter, server)
        add_where(where, server)

    waiting = Waiting()
    waiting.go_on.set()
    server = stage_server((Greeter(), waiting), add_to_server=add_both)

    assert greeter_of(server).Greet(YOU).value == "hello you"
    assert server.stub_for(WhereStub).Where(YOU).value == "thread"
    assert server.stub_for(WhereStub) is server.stub_for(WhereStub)
    with pytest.raises(UsageError, match=r"its stub is not known; call .*stub_for"):
        _ = server.stub


@pytest.mark.parametrize("servicer", [Greeter(), AioGreeter()], ids=["threads", "aio"])
def test_the_standard_services_of_a_user_are_served(
    stage_server: StageServerFactory, servicer: object
) -> None:
    """Reflection, and a health service that the plugin's own does not replace."""
    own = health.HealthServicer()
    own.set(SERVICE, health_pb2.HealthCheckResponse.NOT_SERVING)

    def add_production(servicer: Any, server: Any) -> None:
        add_GreeterServicer_to_server(servicer, server)
        health_pb2_grpc.add_HealthServicer_to_server(own, server)
        reflection.enable_server_reflection((SERVICE,), server)

    server = stage_server(servicer, add_to_server=add_production, stub=GreeterStub)

    assert greets_in_all_ways(server)
    health_stub: Any = server.stub_for(health_pb2_grpc.HealthStub)
    checked = health_stub.Check(health_pb2.HealthCheckRequest(service=SERVICE))
    assert checked.status == health_pb2.HealthCheckResponse.NOT_SERVING
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    reflected: Any = server.stub_for(reflection_pb2_grpc.ServerReflectionStub)
    (listed,) = reflected.ServerReflectionInfo(iter([asked]))
    assert [each.name for each in listed.list_services_response.service] == [SERVICE]


def test_what_gRPC_refuses_is_refused_in_process_too(  # noqa: N802
    stage_server: StageServerFactory,
) -> None:
    """A list is no iterator: in production, gRPC fails the call."""

    class Lists(Greeter):
        def GreetEach(self, request: StringValue, _: Any) -> Iterator[StringValue]:  # noqa: N802
            return [request]  # type: ignore[return-value]

    server = stage_server(Lists(), add_to_server=add_GreeterServicer_to_server)

    with pytest.raises(grpc.RpcError, match="not an iterator"):
        list(server.stub.GreetEach(YOU))
