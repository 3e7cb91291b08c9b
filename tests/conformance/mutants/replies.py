"""Mutants that send wrong replies."""

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
    """Drops the last record of a batch that is not full."""

    caught_by = ("stream.ragged", "result.counts")
    full = 0

    def answer(self, request: Batch, context: grpc.ServicerContext) -> Batch:
        """Drop a record of a batch that is smaller than the largest so far."""
        self.full = max(self.full, request.records)
        message: Any = self.decode(request, context)
        if request.records < self.full:
            *kept, _, _ = message.text.split(b"\n")
            message.text = b"".join(line + b"\n" for line in kept)
        return self.reply(request, self.apply(message))


class Reorders(Honest):
    """Swaps replies in pairs."""

    caught_by = ("reply.in-order",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Send the second reply of a pair first."""
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
    """Answers the third batch twice."""

    caught_by = ("reply.one-each",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Send one reply again."""
        for position, request in enumerate(requests):
            reply = self.answer(request, context)
            yield reply
            if position == 2:
                yield reply


class NeverStops(Honest):
    """Answers the last batch without end."""

    caught_by = ("reply.one-each",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Repeat the last reply while the client listens."""
        reply = Batch()
        for request in requests:
            reply = self.answer(request, context)
            yield reply
        while context.is_active():
            yield reply


class ForgetsWhatIsEmpty(Honest):
    """Sends no reply to a batch without records."""

    stage = "rules"
    caught_by = ("reply.empty-batch",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Answer batches with records only."""
        for request in requests:
            if request.records:
                yield self.answer(request, context)


class ForgetsWhatItLeavesEmpty(Honest):
    """Sends no reply if no record of a batch passes."""

    stage = "rules"
    caught_by = ("reply.singles",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Answer if a record passed, or if the batch was empty."""
        for request in requests:
            reply = self.answer(request, context)
            if reply.records or not request.records:
                yield reply


class Renumbers(Honest):
    """Numbers replies by their position in the stream."""

    caught_by = ("reply.number",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Number the replies from 0."""
        for number, request in zip(count(), requests, strict=False):
            reply = self.answer(request, context)
            reply.number = number
            yield reply


class Lags(Honest):
    """Sends each reply after the next batch, or at the end of the stream."""

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
    """Leaves filtered records out of the counts."""

    stage = "rules"
    caught_by = ("reply.counts", "result.counts")

    def apply(self, message: Any) -> Output[Any]:
        """Clear the count of filtered records."""
        output = super().apply(message)
        return Output(output.message, output.records)


class ReturnsAnotherType(Honest):
    """Replies with a payload of the wrong type."""

    caught_by = ("reply.type",)

    def reply(self, request: Batch, output: Output[Any]) -> Batch:
        """Pack another type, with the right counts."""
        reply = super().reply(request, output)
        pack(Lines(), into=reply.payload)
        return reply


class RejectsBackwards(Honest):
    """Lists rejections in descending order."""

    caught_by = ("reply.rejections-ascending",)

    def reply(self, request: Batch, output: Output[Any]) -> Batch:
        """Reverse the rejections."""
        reply = super().reply(request, output)
        rejections = list(reply.rejections)
        del reply.rejections[:]
        reply.rejections.extend(reversed(rejections))
        return reply


class AcknowledgesFirst(Honest):
    """Replies to a batch before decoding it."""

    caught_by = ("flow.no-early-reply",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Reply to a bad batch, and then refuse it."""
        for request in requests:
            try:
                unpack(request.payload, self.function.takes)
            except PayloadError:
                yield Batch(number=request.number, records=request.records)
            yield self.answer(request, context)


class SaysMoreThanAsked(Honest):
    """Replies to the next batch before it is sent."""

    caught_by = ("flow.no-early-reply",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Send two replies to each batch."""
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
