"""The aggregate stage and the result of `events`: count, exact sum, average by type.

They are a commutative monoid over Totals. The zero is ``Totals()``. ``aggregate`` is
the update of zero by one message. ``TotalsByType`` merges and finishes.
"""

from __future__ import annotations

import json
from collections import defaultdict

from pipeline.stages import Output
from pipeline.v1.events_pb2 import Amounts, EventType, Total, Totals


def aggregate(amounts: Amounts) -> Output[Totals]:
    """Count and sum the values of each type."""
    values_by_type: defaultdict[EventType, list[int]] = defaultdict(list)
    for type_, value in zip(amounts.type, amounts.value, strict=True):
        values_by_type[type_].append(value)
    totals = [
        # Python's integers: a 64-bit sum can overflow with 1,024 values.
        Total(type=type_, count=len(values), sum=to_bytes(sum(values)))
        for type_, values in sorted(values_by_type.items())
    ]
    return Output(Totals(totals=totals), records=len(amounts.type))


class TotalsByType:
    """The accumulator of `events`; its result is one JSON line a type."""

    def __init__(self) -> None:
        self._totals: dict[EventType, tuple[int, int]] = {}

    @property
    def records(self) -> int:
        """Events counted so far."""
        return sum(count for count, _ in self._totals.values())

    def add(self, totals: Totals, /) -> bytes:
        """Merge ``totals``; no bytes are final before the end."""
        self.merge(totals)
        return b""

    def state(self) -> Totals:
        """Return the totals so far."""
        return Totals(
            totals=[
                Total(type=type_, count=count, sum=to_bytes(sum_))
                for type_, (count, sum_) in sorted(self._totals.items())
            ]
        )

    def merge(self, totals: Totals, /) -> None:
        """Add ``totals`` to those so far."""
        for total in totals.totals:
            count, sum_ = self._totals.get(total.type, (0, 0))
            self._totals[total.type] = (
                count + total.count,
                sum_ + int.from_bytes(total.sum, "big", signed=True),
            )

    def finish(self) -> bytes:
        """Return the lines, sorted by key; averages are exact quotients, rounded."""
        rows = [
            {"key": _key(event_type), "count": count, "sum": sum_, "avg": sum_ / count}
            for event_type, (count, sum_) in self._totals.items()
        ]
        rows.sort(key=lambda row: str(row["key"]))
        return b"".join(
            json.dumps(row, separators=(",", ":")).encode() + b"\n" for row in rows
        )


def to_bytes(number: int) -> bytes:
    """Return ``number`` as two's complement, big-endian, in the fewest bytes."""
    # A negative number needs as many bits as ~number.
    bits = (number if number >= 0 else ~number).bit_length() + 1
    return number.to_bytes((bits + 7) // 8, "big", signed=True)


def _key(event_type: EventType) -> str:
    return EventType.Name(event_type).removeprefix("EVENT_TYPE_").lower()
