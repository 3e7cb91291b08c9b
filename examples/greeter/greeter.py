"""A gRPC service to test: one unary call and one that answers with a stream.

protoc generates `GreeterStub` and `add_GreeterServicer_to_server` from a .proto file.
They are written by hand here, as it would write them, so that the example runs without
a compiler. Import those of your own service instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf.wrappers_pb2 import StringValue

_SERVICE = "example.Greeter"


class Greeter:
    """The service."""

    def Greet(  # noqa: N802 - named by the service
        self, request: StringValue, context: grpc.ServicerContext
    ) -> StringValue:
        """Greet one person, or refuse an empty name."""
        if not request.value:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no name")
        return StringValue(value=f"hello {request.value}")

    def GreetEach(  # noqa: N802 - named by the service
        self, request: StringValue, context: grpc.ServicerContext
    ) -> Iterator[StringValue]:
        """Greet each person named in the request."""
        for name in request.value.split():
            yield self.Greet(StringValue(value=name), context)


class GreeterStub:
    """The client."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.Greet = channel.unary_unary(
            f"/{_SERVICE}/Greet",
            request_serializer=StringValue.SerializeToString,
            response_deserializer=StringValue.FromString,
        )
        self.GreetEach = channel.unary_stream(
            f"/{_SERVICE}/GreetEach",
            request_serializer=StringValue.SerializeToString,
            response_deserializer=StringValue.FromString,
        )


def add_GreeterServicer_to_server(  # noqa: N802 - named as protoc names it
    servicer: Any, server: grpc.Server
) -> None:
    """Add the service to a server."""
    handlers = {
        "Greet": grpc.unary_unary_rpc_method_handler(
            servicer.Greet,
            request_deserializer=StringValue.FromString,
            response_serializer=StringValue.SerializeToString,
        ),
        "GreetEach": grpc.unary_stream_rpc_method_handler(
            servicer.GreetEach,
            request_deserializer=StringValue.FromString,
            response_serializer=StringValue.SerializeToString,
        ),
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(_SERVICE, handlers),)
    )
