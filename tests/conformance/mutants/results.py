"""Mutants that work something out wrongly, or tell wrongly of themselves."""

from __future__ import annotations

import math
from typing import Any

from pipeline.stages import Output
from pipeline.v1.events_pb2 import EVENT_TYPE_VIEW, Amounts, Events
from pipeline.v1.pipeline_pb2 import Batch
from pipeline.workloads.events.aggregate import to_bytes
from pytest_pipeline.conformance.declaration import Declaration
from tests.conformance.mutants.honest import Honest


class RoundsASum(Honest):
    """Sums are doubles."""

    stage = "aggregate"
    caught_by = ("result.payload", "result.end-to-end")

    def apply(self, message: Any) -> Output[Any]:
        """Round to 53 bits."""
        output = super().apply(message)
        for total in output.message.totals:
            total.sum = to_bytes(int(float(int.from_bytes(total.sum, signed=True))))
        return output


class LosesTheReason(Honest):
    """What is rejected is, but nobody learns why."""

    caught_by = ("result.rejections", "result.end-to-end")

    def reply(self, request: Batch, output: Output[Any]) -> Batch:
        """Call everything malformed."""
        reply = super().reply(request, output)
        for rejection in reply.rejections:
            rejection.reason = "malformed"
        return reply


class LosesTheField(Honest):
    """The reason is there, but not the field that it is about."""

    caught_by = ("result.rejections",)

    def reply(self, request: Batch, output: Output[Any]) -> Batch:
        """Leave it out."""
        reply = super().reply(request, output)
        for rejection in reply.rejections:
            rejection.ClearField("field")
        return reply


class NumbersWithinTheBatch(Honest):
    """Rejected records are numbered from the start of their batch."""

    caught_by = ("result.rejections",)

    def reply(self, request: Batch, output: Output[Any]) -> Batch:
        """Count from 1 in each batch."""
        reply = super().reply(request, output)
        for rejection in reply.rejections:
            rejection.record -= request.first_record - 1
        return reply


class MissesTheEdge(Honest):
    """A value of 10 is filtered, though it is enough."""

    stage = "rules"
    caught_by = ("result.counts",)

    def apply(self, events: Events) -> Output[Any]:
        """Keep what is over 10."""
        amounts = Amounts()
        for type_, value in zip(events.type, events.value, strict=True):
            if value > 10 and type_ != EVENT_TYPE_VIEW:
                amounts.type.append(type_)
                amounts.value.append(value)
        passed = len(amounts.type)
        return Output(amounts, passed, filtered=len(events.type) - passed)


class WrapsAt32Bits(Honest):
    """Values are 32-bit integers."""

    stage = "rules"
    caught_by = ("result.payload",)

    def apply(self, message: Any) -> Output[Any]:
        """Let what is larger wrap."""
        output = super().apply(message)
        values = output.message.value
        values[:] = [(value + 2**31) % 2**32 - 2**31 for value in values]
        return output


class SortsItsBatch(Honest):
    """Records come out in another order than they went in."""

    caught_by = ("result.payload",)

    def apply(self, message: Any) -> Output[Any]:
        """Sort a column, though the sums stay as they are."""
        output = super().apply(message)
        users = output.message.user
        users[:] = sorted(users)
        return output


class StripsUsers(Honest):
    """White space around a user is lost, which the sample has none of."""

    caught_by = ("result.any-records",)

    def apply(self, message: Any) -> Output[Any]:
        """Tidy up where nobody asked for it."""
        output = super().apply(message)
        users = output.message.user
        users[:] = [user.strip() for user in users]
        return output


class IsOffByTheLastBit(Honest):
    """A score is the next double after the right one."""

    workload = "work-items"
    stage = "rules"
    caught_by = ("result.payload",)

    def apply(self, message: Any) -> Output[Any]:
        """Be nearly right."""
        output = super().apply(message)
        scores = output.message.score
        scores[:] = [math.nextafter(score, math.inf) for score in scores]
        return output


class LosesTheSignOfZero(Honest):
    """−0.0 becomes 0.0, which are equal, but not the same to the last bit."""

    workload = "work-items"
    caught_by = ("result.payload",)

    def apply(self, message: Any) -> Output[Any]:
        """Add zero."""
        output = super().apply(message)
        values = output.message.normalised
        values[:] = [value + 0.0 for value in values]
        return output


class HasNoReflection(Honest):
    """Reflection is declared, and not there."""

    declaration = Declaration(reflection=True)
    caught_by = ("start.reflection",)


class TellsNoTime(Honest):
    """Timing is declared, and not told."""

    declaration = Declaration(timing=True, opt_in=("timing.plausible",))
    caught_by = ("timing.plausible",)


class TellsOfTooMuchTime(Honest):
    """Hours pass in a stream of milliseconds."""

    declaration = Declaration(timing=True, opt_in=("timing.plausible",))
    caught_by = ("timing.plausible",)

    def reply(self, request: Batch, output: Output[Any]) -> Batch:
        """Take nanoseconds for something longer."""
        reply = super().reply(request, output)
        reply.timing.process_ns = 3_600_000_000_000
        return reply


class TellsTimeThoughItSaysNot(Honest):
    """That no times are told is declared, and not so."""

    declaration = Declaration(timing=False, opt_in=("timing.plausible",))
    caught_by = ("timing.plausible",)

    def reply(self, request: Batch, output: Output[Any]) -> Batch:
        """Tell one."""
        reply = super().reply(request, output)
        reply.timing.process_ns = 1
        return reply


MUTANTS = (
    RoundsASum,
    LosesTheReason,
    LosesTheField,
    NumbersWithinTheBatch,
    MissesTheEdge,
    WrapsAt32Bits,
    SortsItsBatch,
    StripsUsers,
    IsOffByTheLastBit,
    LosesTheSignOfZero,
    HasNoReflection,
    TellsNoTime,
    TellsOfTooMuchTime,
    TellsTimeThoughItSaysNot,
)
