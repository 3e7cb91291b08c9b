"""The source of `mixed`: makes events and work items in random order."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, islice
from random import Random

from pipeline.batching import BatchLimits
from pipeline.errors import UsageError
from pipeline.source import Opener, Source
from pipeline.stages import Output
from pipeline.v1.lines_pb2 import Lines
from pipeline.v1.mixed_pb2 import MixedRecords, MixedSource
from pipeline.workloads.events.generate import generate_events
from pipeline.workloads.lines import cut_lines
from pipeline.workloads.work_items.items import ItemMaker, bytes_of_an_item
from pipeline.workloads.work_items.source import (
    check_size,
    cut_items,
    work_item_source,
)

# The longest record number, and the tags and lengths of all columns.
_NUMBER_BYTES = 10
_MESSAGE_BYTES = 100


def mixed_source(
    records: int,
    seed: int = 1,
    work_ratio: float = 0.5,
    payload_size: str = "medium",
    iterations: int = 500,
) -> MixedSource:
    """Return the spec of events and work items.

    Args:
        records: How many records to make.
        seed: Equal seeds give equal records.
        work_ratio: The fraction of records that are work items. Their number is rounded
            half to even.
        payload_size: Of the work items; see `work_item_source`.
        iterations: Of the work items; see `work_item_source`.

    Raises:
        UsageError: A number is out of range, or there is no such payload size.
    """
    if not 0 <= work_ratio <= 1:
        raise UsageError(f"work ratio {work_ratio}: must be a fraction from 0 to 1")
    items = work_item_source(records, seed, payload_size, iterations)
    items.records = round(Fraction(work_ratio) * records)
    return MixedSource(items=items, events=records - items.records)


def read_mixed(
    spec: MixedSource,
    limits: BatchLimits,
    max_records: int,
    inputs: Opener,  # noqa: ARG001 - there is nothing to read
) -> Iterator[Output[MixedRecords]]:
    """Yield the records of ``spec`` as batches.

    The events and the items, each in order, are those of `generate_events` and
    `ItemMaker` with the same seed.

    Raises:
        UsageError: The size of the items is out of range.
    """
    check_size(spec.items)
    lines = generate_events(spec.events, spec.items.seed)
    batch = _Batch(ItemMaker(spec.items), limits)
    item_bytes = bytes_of_an_item(spec.items)
    for record, is_item in enumerate(
        islice(is_item_each(spec), max_records or None), 1
    ):
        line = b"" if is_item else next(lines)
        size = item_bytes if is_item else len(line) + _NUMBER_BYTES
        if not batch.has_room(size):
            yield batch.cut()
        batch.add(record, line, size)
    if batch.records:
        yield batch.cut()


def is_item_each(spec: MixedSource) -> Iterator[bool]:
    """Yield for each record whether it is a work item.

    Every order of the two kinds is equally likely.
    """
    # Seeded with a text, so that the numbers are not those of the events' generator,
    # which is seeded with the number alone.
    random = Random(f"mixed {spec.items.seed}")  # noqa: S311 - made up, not secret
    items = spec.items.records
    for left in range(items + spec.events, 0, -1):
        is_item = random.randrange(left) < items
        items -= is_item
        yield is_item


def cut_mixed(mixed: MixedRecords, start: int, stop: int) -> MixedRecords:
    """Return the records from one position up to another, by record number."""
    kinds = (mixed.line_record, mixed.items.record)
    numbers = sorted(chain(*kinds))
    of_lines, of_items = (
        [bisect_left(kind, number) for number in numbers] + [len(kind)]
        for kind in kinds
    )
    first_line, last_line = of_lines[start], of_lines[stop]
    return MixedRecords(
        lines=cut_lines(mixed.lines, first_line, last_line),
        line_record=mixed.line_record[first_line:last_line],
        items=cut_items(mixed.items, of_items[start], of_items[stop]),
    )


class _Batch:
    """The batch that is being filled."""

    def __init__(self, maker: ItemMaker, limits: BatchLimits) -> None:
        self._maker = maker
        self._limits = limits
        self._first_line = 1
        self._start()

    def _start(self) -> None:
        self._items: list[int] = []
        self._lines: list[bytes] = []
        self._line_records: list[int] = []
        self._bytes = _MESSAGE_BYTES

    @property
    def records(self) -> int:
        return len(self._items) + len(self._lines)

    def has_room(self, size: int) -> bool:
        """Return whether a record of ``size`` bytes fits; an empty batch takes any."""
        return not self.records or (
            self.records < self._limits.records
            and self._bytes + size <= self._limits.bytes
        )

    def add(self, record: int, line: bytes, size: int) -> None:
        """Add an event's line, or the next work item if ``line`` is empty."""
        if line:
            self._lines.append(line)
            self._line_records.append(record)
        else:
            self._items.append(record)
        self._bytes += size

    def cut(self) -> Output[MixedRecords]:
        """Return the batch and start an empty one."""
        lines = Lines(first_record=self._first_line, text=b"".join(self._lines))
        message = MixedRecords(
            lines=lines,
            line_record=self._line_records,
            items=self._maker.next_items(self._items),
        )
        output = Output(message, self.records)
        self._first_line += len(self._lines)
        self._start()
        return output


MIXED_RECORDS = Source(
    MixedSource,
    MixedRecords,
    describe=mixed_source,
    read=read_mixed,
    live_limits=True,
    repeatable=True,
    cut=cut_mixed,
)
