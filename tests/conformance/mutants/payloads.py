"""Mutants that take what they must refuse, or refuse what they must take."""

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
    """A payload with a field of a later contract is refused."""

    caught_by = ("payload.unknown-fields",)

    def decode(self, request: Batch, context: grpc.ServicerContext) -> Message:
        """Be strict."""
        message = super().decode(request, context)
        if len(UnknownFieldSet(message)):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "unknown field")
        return message


class ComparesTheWholeUrl(Honest):
    """Only the type URLs of one language are taken."""

    caught_by = ("payload.type-url",)

    def decode(self, request: Batch, context: grpc.ServicerContext) -> Message:
        """Compare what stands before the slash too."""
        name = self.function.takes.DESCRIPTOR.full_name
        if request.payload.type_url != f"type.googleapis.com/{name}":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "unknown type")
        return super().decode(request, context)


class SwallowsErrors(Honest):
    """What it can't read it takes for nothing."""

    caught_by = ("payload.unknown-type", "payload.missing", "payload.undecodable")

    def answer(self, request: Batch, context: grpc.ServicerContext) -> Batch:
        """Go on, whatever comes."""
        try:
            unpack(request.payload, self.function.takes)
        except PayloadError:
            return self.reply(request, self.apply(self.function.takes()))
        return super().answer(request, context)


class BlamesItself(Honest):
    """What it can't read it calls a failure of its own."""

    caught_by = ("payload.undecodable",)

    def answer(self, request: Batch, context: grpc.ServicerContext) -> Batch:
        """Fail."""
        try:
            unpack(request.payload, self.function.takes)
        except PayloadError as error:
            context.abort(grpc.StatusCode.INTERNAL, str(error))
        return super().answer(request, context)


class ReadsByTheType(Honest):
    """A batch without payload passes as an empty one."""

    caught_by = ("payload.missing",)

    def answer(self, request: Batch, context: grpc.ServicerContext) -> Batch:
        """Take what has no type for nothing."""
        if not request.payload.type_url:
            return self.reply(request, self.apply(self.function.takes()))
        return super().answer(request, context)


class HasTheLimitOfGrpc(Honest):
    """Messages over 4 MiB are refused, as by servers that are left as they are."""

    caught_by = ("limit.within",)

    def answer(self, request: Batch, context: grpc.ServicerContext) -> Batch:
        """Refuse what is large."""
        if request.ByteSize() > 4 * _MIB:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too large")
        return super().answer(request, context)


class KeepsNoLimit(Honest):
    """A limit is declared, and not kept."""

    declaration = Declaration(max_message_bytes=_MIB)
    caught_by = ("limit.over",)


MUTANTS = (
    RefusesWhatItDoesNotKnow,
    ComparesTheWholeUrl,
    SwallowsErrors,
    BlamesItself,
    ReadsByTheType,
    HasTheLimitOfGrpc,
    KeepsNoLimit,
)
