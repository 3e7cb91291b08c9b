"""Mutants that answer wrongly."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import grpc

from pipeline.stages import Output
from pipeline.transport.wire import PayloadError, pack, unpack
from pipeline.v1.lines_pb2 import Lines
from pipeline.v1.pipeline_pb2 import Batch
from tests.conformance.mutants.honest import Honest


class DropsTheLastOfARaggedBatch(Honest):
    """Of a batch that is not full, the last record is lost."""

    caught_by = ("stream.ragged", "result.counts")
    full = 0

    def answer(self, request: Batch, context: grpc.ServicerContext) -> Batch:
        """Call a batch full that has as many records as the largest before it."""
        self.full = max(self.full, request.records)
        message: Any = self.decode(request, context)
        if request.records < self.full:
            *kept, _, _ = message.text.split(b"\n")
            message.text = b"".join(line + b"\n" for line in kept)
        return self.reply(request, self.apply(message))


class Reorders(Honest):
    """Every second reply overtakes the one before."""

    caught_by = ("reply.in-order",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Answer in pairs."""
        held: Batch | None = None
        for request in requests:
            reply = self.answer(request, context)
            if held is None:
                held = reply
                continue
            yield reply
            yield held
            held = None
        if held is not None:
            yield held


class Doubles(Honest):
    """The third batch is answered twice."""

    caught_by = ("reply.one-each",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Answer each, and one again."""
        for position, request in enumerate(requests):
            reply = self.answer(request, context)
            yield reply
            if position == 2:
                yield reply


class NeverStops(Honest):
    """The last batch is answered over and over."""

    caught_by = ("reply.one-each",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Go on while anybody listens."""
        reply = Batch()
        for request in requests:
            reply = self.answer(request, context)
            yield reply
        while context.is_active():
            yield reply


class ForgetsWhatIsEmpty(Honest):
    """A batch without records gets no reply."""

    stage = "rules"
    caught_by = ("reply.empty-batch",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Answer those with records."""
        for request in requests:
            if request.records:
                yield self.answer(request, context)


class ForgetsWhatItLeavesEmpty(Honest):
    """A batch of which no record is left gets no reply."""

    stage = "rules"
    caught_by = ("reply.singles",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Answer where something is left."""
        for request in requests:
            reply = self.answer(request, context)
            if reply.records or not request.records:
                yield reply


class Renumbers(Honest):
    """Replies are numbered as they go, not as the batches were."""

    caught_by = ("reply.number",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Count from 0."""
        for number, request in zip(count(), requests, strict=False):
            reply = self.answer(request, context)
            reply.number = number
            yield reply


class Lags(Honest):
    """Each reply waits for the next batch, or for the end."""

    caught_by = ("reply.prompt", "stream.half-close")

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Hold one reply back."""
        held: Batch | None = None
        for request in requests:
            if held is not None:
                yield held
            held = self.answer(request, context)
        if held is not None:
            yield held


class Miscounts(Honest):
    """What it filters it does not tell."""

    stage = "rules"
    caught_by = ("reply.counts", "result.counts")

    def apply(self, message: Any) -> Output[Any]:
        """Leave the number of filtered records out."""
        output = super().apply(message)
        return Output(output.message, output.records)


class ReturnsAnotherType(Honest):
    """The payload of the reply is that of the request."""

    caught_by = ("reply.type",)

    def reply(self, request: Batch, output: Output[Any]) -> Batch:
        """Say the right counts of the wrong payload."""
        reply = super().reply(request, output)
        pack(Lines(), into=reply.payload)
        return reply


class RejectsBackwards(Honest):
    """Rejections come from the last record to the first."""

    caught_by = ("reply.rejections-ascending",)

    def reply(self, request: Batch, output: Output[Any]) -> Batch:
        """Turn them round."""
        reply = super().reply(request, output)
        rejections = list(reply.rejections)
        del reply.rejections[:]
        reply.rejections.extend(reversed(rejections))
        return reply


class AcknowledgesFirst(Honest):
    """A batch is acknowledged before anybody has looked into it."""

    caught_by = ("flow.no-early-reply",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Take back with the status what was acknowledged with the reply."""
        for request in requests:
            try:
                unpack(request.payload, self.function.takes)
            except PayloadError:
                yield Batch(number=request.number, records=request.records)
            yield self.answer(request, context)


class SaysMoreThanAsked(Honest):
    """After a batch comes a reply to the next one, which nobody has sent."""

    caught_by = ("flow.no-early-reply",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Answer twice, once in advance."""
        for request in requests:
            yield self.answer(request, context)
            yield Batch(number=request.number + 1)


MUTANTS = (
    DropsTheLastOfARaggedBatch,
    Reorders,
    Doubles,
    NeverStops,
    ForgetsWhatIsEmpty,
    ForgetsWhatItLeavesEmpty,
    Renumbers,
    Lags,
    Miscounts,
    ReturnsAnotherType,
    RejectsBackwards,
    AcknowledgesFirst,
    SaysMoreThanAsked,
)
