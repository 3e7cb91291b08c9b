"""Mutants that do not end streams, or that keep state."""

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
    """Never ends a stream without batches."""

    caught_by = ("stream.empty",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """End streams that had a batch only."""
        answered = False
        for request in requests:
            answered = True
            yield self.answer(request, context)
        if not answered:
            self.wait_for_the_end_of(context)


class AnswersNothingWithSomething(Honest):
    """Sends a reply in a stream without batches."""

    caught_by = ("stream.empty",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Send an empty reply."""
        answered = False
        for request in requests:
            answered = True
            yield self.answer(request, context)
        if not answered:
            yield Batch()


class IgnoresTheHalfClose(Honest):
    """Answers every batch, and never ends the stream."""

    caught_by = ("stream.half-close",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Wait for the client to end the call."""
        yield from super().Process(requests, context)
        self.wait_for_the_end_of(context)


class TakesTheHalfCloseForAFailure(Honest):
    """Ends with an error when the client half-closes."""

    caught_by = ("stream.half-close",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Abort with CANCELLED."""
        yield from super().Process(requests, context)
        context.abort(grpc.StatusCode.CANCELLED, "the client went away")


class HoldsWhatWasCancelled(Honest):
    """Holds the thread of a cancelled stream."""

    caught_by = ("stream.cancel",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Block until the test ends."""
        try:
            for request in requests:
                yield self.answer(request, context)
        finally:
            if not context.is_active():
                self.is_over.wait()


class RefusesDeadlines(Honest):
    """Refuses calls with a deadline."""

    caught_by = ("stream.deadline",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Abort if there is a deadline."""
        if context.time_remaining() is not None:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "takes no deadlines")
        return super().Process(requests, context)


class ServesOneAtATime(Honest):
    """Serves one stream at a time."""

    caught_by = ("stream.two-at-once",)

    def __init__(self) -> None:
        super().__init__()
        self.turn = threading.Lock()

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Hold a lock for the whole stream."""
        with self.turn:
            yield from super().Process(requests, context)


class RemembersStreams(Honest):
    """Gives other results in each stream."""

    caught_by = ("state.between-streams",)
    streams = 0

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Count streams."""
        self.streams += 1
        return super().Process(requests, context)

    def apply(self, message: Any) -> Output[Any]:
        """Append one mark a stream to the first user."""
        output = super().apply(message)
        if output.records:
            output.message.user[0] += "'" * self.streams
        return output


class RunsATotal(Honest):
    """Adds the states of earlier batches to each state."""

    stage = "aggregate"
    caught_by = ("state.replay", "result.payload")

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Keep a running total for the stream."""
        running = TotalsByType()
        for request in requests:
            message = self.decode(request, context)
            output: Output[Totals] = self.apply(message)
            running.merge(output.message)
            yield self.reply(request, Output(running.state(), output.records))


class ReadsAhead(Honest):
    """Buffers batches without limit while its replies are not read."""

    caught_by = ("flow.slow-reader",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Read all batches in a thread."""
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
    """Loses a reply while the client is slow to read."""

    caught_by = ("flow.slow-reader",)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Skip batch 100."""
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
