"""Write the result of a run: all of it, or nothing."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from pipeline.accumulator import Accumulator, missing_members
from pipeline.errors import ConservationError, UsageError
from pipeline.publishing import Draft


class ResultWriter:
    """Writes the result to a draft and publishes it once it is complete.

    Raises:
        UsageError: The accumulator lacks a member, such as ``records``, which can't be
            checked when the workload is made.
    """

    def __init__(self, accumulator: Accumulator[Any], draft: Draft) -> None:
        if missing := missing_members(accumulator):
            raise UsageError(
                f"the result: a {type(accumulator).__name__} has no "
                f"{' and no '.join(missing)}; write what pipeline.Accumulator describes"
            )
        self._accumulator = accumulator
        self._draft = draft
        self.batches = 0

    def add(self, message: Message) -> None:
        """Add the payload of the next batch."""
        __tracebackhide__ = True
        self._draft.write(self._accumulator.add(message))
        self.batches += 1

    def merge(self, state: Message, batches: int) -> None:
        """Add the state of an accumulator that so many batches were added to."""
        __tracebackhide__ = True
        self._accumulator.merge(state)
        self.batches += batches

    def state(self) -> bytes:
        """Return the state of what was added so far; see `Accumulator.state`."""
        __tracebackhide__ = True
        return self._accumulator.state().SerializeToString()

    def restore(self, state: bytes, batches: int) -> None:
        """Go on from what `state` returned after so many batches.

        The draft must have what was written until then.
        """
        __tracebackhide__ = True
        self.merge(type(self._accumulator.state()).FromString(state), batches)

    @property
    def records(self) -> int:
        """Records in the result, counted from the payloads."""
        return self._accumulator.records

    def commit(self, batches: int, records: int) -> int:
        """Publish the result and return its size in bytes.

        Args:
            batches: How many batches the run passed on.
            records: How many records were in them.

        Raises:
            ConservationError: The result has other counts; nothing is published.
        """
        __tracebackhide__ = True
        if (self.batches, self.records) != (batches, records):
            raise ConservationError(
                f"{records} records in {batches} batches were passed on, but the "
                f"result counts {self.records} in {self.batches}; nothing was published"
            )
        self._draft.write(self._accumulator.finish())
        self._draft.publish()
        return self._draft.size
