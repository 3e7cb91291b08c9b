"""A service that is no stage, with all four kinds of call.

The stub and the function that adds the servicer are what the gRPC plugin of protoc
generates.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
from google.protobuf.wrappers_pb2 import StringValue

from pytest_pipeline import StageServerFactory
from pytest_pipeline.servers.handle import Server

SERVICE = "example.Greeter"
METHODS = {
    "Greet": "unary_unary",
    "GreetEach": "unary_stream",
    "GreetAll": "stream_unary",
    "Chat": "stream_stream",
}


class GreeterStub:
    """Calls the greeter."""

    def __init__(self, channel: Any) -> None:
        for name, kind in METHODS.items():
            call = getattr(channel, kind)(
                f"/{SERVICE}/{name}",
                request_serializer=StringValue.SerializeToString,
                response_deserializer=StringValue.FromString,
            )
            setattr(self, name, call)


def add_GreeterServicer_to_server(servicer: Any, server: Any) -> None:  # noqa: N802 - as generated
    """Add a greeter to a server."""
    handlers = {
        name: getattr(grpc, f"{kind}_rpc_method_handler")(
            getattr(servicer, name),
            request_deserializer=StringValue.FromString,
            response_serializer=StringValue.SerializeToString,
        )
        for name, kind in METHODS.items()
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, handlers),)
    )


def hello(name: str) -> StringValue:
    """Return a greeting, and log it."""
    logging.getLogger("greeter").warning("greeting %s", name)
    return StringValue(value=f"hello {name}")


class Greeter:
    """Greets in threads."""

    def Greet(self, request: StringValue, _: Any) -> StringValue:  # noqa: N802
        """Greet one."""
        return hello(request.value)

    def GreetEach(self, request: StringValue, _: Any) -> Iterator[StringValue]:  # noqa: N802
        """Greet each of a list."""
        for name in request.value.split():
            yield hello(name)

    def GreetAll(self, requests: Iterator[StringValue], _: Any) -> StringValue:  # noqa: N802
        """Greet all at once."""
        return hello(" and ".join(request.value for request in requests))

    def Chat(  # noqa: N802
        self, requests: Iterator[StringValue], _: Any
    ) -> Iterator[StringValue]:
        """Greet each as it comes."""
        for request in requests:
            yield hello(request.value)


class AioGreeter:
    """Greets in an event loop."""

    async def Greet(self, request: StringValue, _: Any) -> StringValue:  # noqa: N802
        """Greet one."""
        return hello(request.value)

    async def GreetEach(  # noqa: N802
        self, request: StringValue, _: Any
    ) -> AsyncIterator[StringValue]:
        """Greet each of a list."""
        for name in request.value.split():
            yield hello(name)

    async def GreetAll(  # noqa: N802
        self, requests: AsyncIterator[StringValue], _: Any
    ) -> StringValue:
        """Greet all at once."""
        return hello(" and ".join([request.value async for request in requests]))

    async def Chat(  # noqa: N802
        self, requests: AsyncIterator[StringValue], _: Any
    ) -> AsyncIterator[StringValue]:
        """Greet each as it comes."""
        async for request in requests:
            yield hello(request.value)


def name(text: str) -> StringValue:
    """Return a request."""
    return StringValue(value=text)


def serve(factory: StageServerFactory, what: object, **arguments: Any) -> Server:
    """Start a greeter."""
    return factory(what, add_to_server=add_GreeterServicer_to_server, **arguments)
