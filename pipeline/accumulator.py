"""The contract of a workload's result: the protocol `Accumulator`."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from google.protobuf.message import Message

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
