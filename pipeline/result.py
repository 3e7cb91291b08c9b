"""The result of a run: accumulated from the payloads in order, published whole."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from google.protobuf.message import Message

from pipeline.errors import ConservationError, UsageError
from pipeline.publishing import Draft

Payload_contra = TypeVar("Payload_contra", bound=Message, contravariant=True)


class Accumulator(Protocol[Payload_contra]):
    """Folds the payloads of a run, in order, into the bytes of its result.

    Accumulators are a commutative monoid: a new one is the zero, `add` the update,
    `merge` the operation. The state is a message, so that it can be stored, sent to
    another process, and continued from there.

    A workload's class needs these five members and no base class::

        class TotalsByRoute:
            def __init__(self) -> None: ...
            @property
            def records(self) -> int: ...
            def add(self, totals: RouteTotals, /) -> bytes: ...
            def state(self) -> RouteTotals: ...
            def merge(self, totals: RouteTotals, /) -> None: ...
            def finish(self) -> bytes: ...
    """

    @property
    def records(self) -> int:
        """Records accumulated so far, counted from the payloads."""

    def add(self, message: Payload_contra, /) -> bytes:
        """Add one payload; return the bytes of the result that are already final."""

    def state(self) -> Message:
        """Return everything that `finish` needs; equal states are equal bytes."""

    def merge(self, state: Any, /) -> None:
        """Add what another accumulator of this workload returned from `state`."""

    def finish(self) -> bytes:
        """Return the rest of the result, after the bytes that `add` returned."""


_METHODS = ("add", "state", "merge", "finish")


def missing_members(accumulator: Any) -> list[str]:
    """Return the members of `Accumulator` that an accumulator, or its class, lacks.

    A member that is inherited from `Accumulator` itself, or abstract, is missing. A
    class may lack ``records``, which ``__init__`` can set.
    """
    is_class = isinstance(accumulator, type)
    kind = accumulator if is_class else type(accumulator)

    def is_missing(name: str) -> bool:
        inherited = getattr(kind, name, None) is getattr(Accumulator, name)
        return inherited or name in getattr(kind, "__abstractmethods__", ())

    missing = [
        name
        for name in _METHODS
        if is_missing(name) or not callable(getattr(accumulator, name, None))
    ]
    if is_missing("records") or not (is_class or hasattr(accumulator, "records")):
        missing.insert(0, "records")
    return missing


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
