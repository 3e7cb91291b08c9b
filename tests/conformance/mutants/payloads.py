"""Mutants that accept payloads they must refuse, or refuse those they must accept."""

from __future__ import annotations

import grpc
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from pipeline.transport.wire import PayloadError, unpack
from pipeline.v1.pipeline_pb2 import Batch
from pytest_pipeline.conformance.declaration import Declaration
from tests.conformance.mutants.honest import Honest

_MIB = 1024 * 1024


class RefusesWhatItDoesNotKnow(Honest):
    """Refuses payloads with unknown fields."""

    caught_by = ("payload.unknown-fields",)

    def decode(self, request: Batch, context: grpc.ServicerContext) -> Message:
        """Refuse unknown fields."""
        message = super().decode(request, context)
        if len(UnknownFieldSet(message)):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "unknown field")
        return message


class ComparesTheWholeUrl(Honest):
    """Refuses type URLs with an unusual prefix."""

    caught_by = ("payload.type-url",)

    def decode(self, request: Batch, context: grpc.ServicerContext) -> Message:
        """Compare the whole type URL."""
        name = self.function.takes.DESCRIPTOR.full_name
        if request.payload.type_url != f"type.googleapis.com/{name}":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "unknown type")
        return super().decode(request, context)


class SwallowsErrors(Honest):
    """Treats a payload that it can't decode as an empty one."""

    caught_by = ("payload.unknown-type", "payload.missing", "payload.undecodable")

    def answer(self, request: Batch, context: grpc.ServicerContext) -> Batch:
        """Process an empty payload instead of refusing."""
        try:
            unpack(request.payload, self.function.takes)
        except PayloadError:
            return self.reply(request, self.apply(self.function.takes()))
        return super().answer(request, context)


class BlamesItself(Honest):
    """Ends with INTERNAL for a payload that it can't decode."""

    caught_by = ("payload.undecodable",)

    def answer(self, request: Batch, context: grpc.ServicerContext) -> Batch:
        """Abort with INTERNAL instead of INVALID_ARGUMENT."""
        try:
            unpack(request.payload, self.function.takes)
        except PayloadError as error:
            context.abort(grpc.StatusCode.INTERNAL, str(error))
        return super().answer(request, context)


class AcceptsAMissingPayload(Honest):
    """Treats a batch without a payload as an empty one."""

    caught_by = ("payload.missing",)

    def answer(self, request: Batch, context: grpc.ServicerContext) -> Batch:
        """Process an empty payload if there is no type URL."""
        if not request.payload.type_url:
            return self.reply(request, self.apply(self.function.takes()))
        return super().answer(request, context)


class HasTheLimitOfGrpc(Honest):
    """Refuses messages over 4 MiB, the default limit of gRPC."""

    caught_by = ("limit.within",)

    def answer(self, request: Batch, context: grpc.ServicerContext) -> Batch:
        """Refuse large messages."""
        if request.ByteSize() > 4 * _MIB:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too large")
        return super().answer(request, context)


class KeepsNoLimit(Honest):
    """Declares a limit and does not enforce it."""

    declaration = Declaration(max_message_bytes=_MIB)
    caught_by = ("limit.over",)


MUTANTS = (
    RefusesWhatItDoesNotKnow,
    ComparesTheWholeUrl,
    SwallowsErrors,
    BlamesItself,
    AcceptsAMissingPayload,
    HasTheLimitOfGrpc,
    KeepsNoLimit,
)
