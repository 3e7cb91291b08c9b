"""Mutants with wrong results, or with wrong declarations."""

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
    """Rounds sums to doubles."""

    stage = "aggregate"
    caught_by = ("result.payload", "result.end-to-end")

    def apply(self, message: Any) -> Output[Any]:
        """Round to 53 bits."""
        output = super().apply(message)
        for total in output.message.totals:
            total.sum = to_bytes(int(float(int.from_bytes(total.sum, signed=True))))
        return output


class LosesTheReason(Honest):
    """Gives every rejection the same reason."""

    caught_by = ("result.rejections", "result.end-to-end")

    def reply(self, request: Batch, output: Output[Any]) -> Batch:
        """Set the reason to "malformed"."""
        reply = super().reply(request, output)
        for rejection in reply.rejections:
            rejection.reason = "malformed"
        return reply


class LosesTheField(Honest):
    """Leaves the field out of rejections."""

    caught_by = ("result.rejections",)

    def reply(self, request: Batch, output: Output[Any]) -> Batch:
        """Clear the field."""
        reply = super().reply(request, output)
        for rejection in reply.rejections:
            rejection.ClearField("field")
        return reply


class NumbersWithinTheBatch(Honest):
    """Numbers rejected records from the start of their batch."""

    caught_by = ("result.rejections",)

    def reply(self, request: Batch, output: Output[Any]) -> Batch:
        """Count from 1 in each batch."""
        reply = super().reply(request, output)
        for rejection in reply.rejections:
            rejection.record -= request.first_record - 1
        return reply


class MissesTheEdge(Honest):
    """Filters values of 10, which must pass."""

    stage = "rules"
    caught_by = ("result.counts",)

    def apply(self, events: Events) -> Output[Any]:
        """Keep values over 10."""
        amounts = Amounts()
        for type_, value in zip(events.type, events.value, strict=True):
            if value > 10 and type_ != EVENT_TYPE_VIEW:
                amounts.type.append(type_)
                amounts.value.append(value)
        passed = len(amounts.type)
        return Output(amounts, passed, filtered=len(events.type) - passed)


class WrapsAt32Bits(Honest):
    """Wraps values at 32 bits."""

    stage = "rules"
    caught_by = ("result.payload",)

    def apply(self, message: Any) -> Output[Any]:
        """Convert values to signed 32-bit integers."""
        output = super().apply(message)
        values = output.message.value
        values[:] = [(value + 2**31) % 2**32 - 2**31 for value in values]
        return output


class SortsItsBatch(Honest):
    """Changes the order of records in a batch."""

    caught_by = ("result.payload",)

    def apply(self, message: Any) -> Output[Any]:
        """Sort a column, which leaves the sums right."""
        output = super().apply(message)
        users = output.message.user
        users[:] = sorted(users)
        return output


class StripsUsers(Honest):
    """Strips users; the sample has none with white space around it."""

    caught_by = ("result.any-records",)

    def apply(self, message: Any) -> Output[Any]:
        """Strip white space."""
        output = super().apply(message)
        users = output.message.user
        users[:] = [user.strip() for user in users]
        return output


class IsOffByTheLastBit(Honest):
    """Is wrong by one unit in the last place."""

    workload = "work-items"
    stage = "rules"
    caught_by = ("result.payload",)

    def apply(self, message: Any) -> Output[Any]:
        """Return the next larger double."""
        output = super().apply(message)
        scores = output.message.score
        scores[:] = [math.nextafter(score, math.inf) for score in scores]
        return output


class LosesTheSignOfZero(Honest):
    """Turns −0.0 into 0.0, which is equal but has other bits."""

    workload = "work-items"
    caught_by = ("result.payload",)

    def apply(self, message: Any) -> Output[Any]:
        """Add 0.0."""
        output = super().apply(message)
        values = output.message.normalised
        values[:] = [value + 0.0 for value in values]
        return output


class HasNoReflection(Honest):
    """Declares reflection and does not serve it."""

    declaration = Declaration(reflection=True)
    caught_by = ("start.reflection",)


class TellsNoTime(Honest):
    """Declares timing and reports no times."""

    declaration = Declaration(timing=True, opt_in=("timing.plausible",))
    caught_by = ("timing.plausible",)


class TellsOfTooMuchTime(Honest):
    """Reports more time than has passed."""

    declaration = Declaration(timing=True, opt_in=("timing.plausible",))
    caught_by = ("timing.plausible",)

    def reply(self, request: Batch, output: Output[Any]) -> Batch:
        """Report one hour."""
        reply = super().reply(request, output)
        reply.timing.process_ns = 3_600_000_000_000
        return reply


class TellsTimeThoughItSaysNot(Honest):
    """Declares no timing and reports times."""

    declaration = Declaration(timing=False, opt_in=("timing.plausible",))
    caught_by = ("timing.plausible",)

    def reply(self, request: Batch, output: Output[Any]) -> Batch:
        """Report a nanosecond."""
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
