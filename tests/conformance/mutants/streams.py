"""Mutants that do not end, or keep what they should not."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Any

import grpc

from pipeline.stages import Output
from pipeline.v1.events_pb2 import Totals
from pipeline.v1.pipeline_pb2 import Batch
from pipeline.workloads.events.aggregate import TotalsByType
from tests.conformance.mutants.honest import Honest


class HangsOnAnEmptyStream(Honest):
    """A stream without batches never ends."""

    caught_by = ("stream.empty",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """End only what has begun."""
        answered = False
        for request in requests:
            answered = True
            yield self.answer(request, context)
        if not answered:
            self.wait_for_the_end_of(context)


class AnswersNothingWithSomething(Honest):
    """A stream without batches gets a reply."""

    caught_by = ("stream.empty",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Have a last word."""
        answered = False
        for request in requests:
            answered = True
            yield self.answer(request, context)
        if not answered:
            yield Batch()


class IgnoresTheHalfClose(Honest):
    """All is answered, but the stream never ends."""

    caught_by = ("stream.half-close",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Wait for more."""
        yield from super().Process(requests, context)
        self.wait_for_the_end_of(context)


class TakesTheHalfCloseForAFailure(Honest):
    """Where the client ends, the stage fails."""

    caught_by = ("stream.half-close",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Blame the client."""
        yield from super().Process(requests, context)
        context.abort(grpc.StatusCode.CANCELLED, "the client went away")


class HoldsWhatWasCancelled(Honest):
    """A cancelled stream keeps its thread."""

    caught_by = ("stream.cancel",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Wait for a client that has gone."""
        try:
            for request in requests:
                yield self.answer(request, context)
        finally:
            if not context.is_active():
                self.is_over.wait()


class RefusesDeadlines(Honest):
    """A call with a deadline is refused."""

    caught_by = ("stream.deadline",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Serve those who have time."""
        if context.time_remaining() is not None:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "takes no deadlines")
        return super().Process(requests, context)


class ServesOneAtATime(Honest):
    """A second stream waits for the first to end."""

    caught_by = ("stream.two-at-once",)

    def __init__(self) -> None:
        super().__init__()
        self.turn = threading.Lock()

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Take turns."""
        with self.turn:
            yield from super().Process(requests, context)


class RemembersStreams(Honest):
    """What a stream gets depends on how many there were."""

    caught_by = ("state.between-streams",)
    streams = 0

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Count streams."""
        self.streams += 1
        return super().Process(requests, context)

    def apply(self, message: Any) -> Output[Any]:
        """Let the count show."""
        output = super().apply(message)
        if output.records:
            output.message.user[0] += "'" * self.streams
        return output


class RunsATotal(Honest):
    """Each state holds those of the batches before it too."""

    stage = "aggregate"
    caught_by = ("state.replay", "result.payload")

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Keep a state for each stream."""
        running = TotalsByType()
        for request in requests:
            message = self.decode(request, context)
            output: Output[Totals] = self.apply(message)
            running.merge(output.message)
            yield self.reply(request, Output(running.state(), output.records))


class ReadsAhead(Honest):
    """Batches pile up in the stage while its replies are not read."""

    caught_by = ("flow.slow-reader",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Read in a thread of its own, as fast as it can."""
        read: deque[Batch | None] = deque()
        there_is_one = threading.Semaphore(0)

        def read_all() -> None:
            try:
                for request in requests:
                    read.append(request)
                    there_is_one.release()
            except grpc.RpcError:
                pass  # the client is gone
            read.append(None)
            there_is_one.release()

        threading.Thread(target=read_all, name="reads_ahead").start()
        while there_is_one.acquire():
            request = read.popleft()
            if request is None:
                return
            yield self.answer(request, context)


class ForgetsAfterAStall(Honest):
    """Of what waits for a slow reader, only some comes in the end."""

    caught_by = ("flow.slow-reader",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Lose the hundredth batch of a stream."""
        for request in requests:
            if request.number != 100:
                yield self.answer(request, context)


MUTANTS = (
    HangsOnAnEmptyStream,
    AnswersNothingWithSomething,
    IgnoresTheHalfClose,
    TakesTheHalfCloseForAFailure,
    HoldsWhatWasCancelled,
    RefusesDeadlines,
    ServesOneAtATime,
    RemembersStreams,
    RunsATotal,
    ReadsAhead,
    ForgetsAfterAStall,
)
