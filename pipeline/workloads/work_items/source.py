"""The source of `work-items`: makes items from a seed."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pipeline.batching import BatchLimits
from pipeline.errors import UsageError
from pipeline.source import Division, MapFunction, Opener, Part, Source
from pipeline.stages import Output
from pipeline.v1.work_items_pb2 import WorkItems, WorkItemSource
from pipeline.workloads.work_items.items import ItemMaker, bytes_of_an_item

#: Values in a vector, by payload size. The matrix is square.
PAYLOAD_SIZES = {"small": 5, "medium": 10, "large": 20}

_MAX_SIZE = 1000

# Enough parts for many workers, and parts of a second or so.
_PARTS = 64
_PART_RECORDS = 20_000


def work_item_source(
    records: int, seed: int = 1, payload_size: str = "medium", iterations: int = 500
) -> WorkItemSource:
    """Return the spec of work items.

    Args:
        records: How many items to make.
        seed: Equal seeds give equal items.
        payload_size: A key of `PAYLOAD_SIZES`.
        iterations: Terms of the iterated sums; 0 makes items without work.

    Raises:
        UsageError: A number is out of range, or there is no such payload size.
    """
    check_range("records", records, 64)
    check_range("seed", seed, 64)
    check_range("iterations", iterations, 32)
    if payload_size not in PAYLOAD_SIZES:
        raise UsageError(
            f"payload size {payload_size!r}: must be one of {', '.join(PAYLOAD_SIZES)}"
        )
    return WorkItemSource(
        records=records,
        seed=seed,
        size=PAYLOAD_SIZES[payload_size],
        iterations=iterations,
    )


def read_items(
    spec: WorkItemSource,
    limits: BatchLimits,
    max_records: int,
    inputs: Opener,  # noqa: ARG001 - there is nothing to read
) -> Iterator[Output[WorkItems]]:
    """Yield the items of ``spec`` as batches.

    Raises:
        UsageError: The size is out of range.
    """
    check_size(spec)
    total = min(spec.records, max_records or spec.records)
    yield from _items(spec, limits, 1, total)


def divide_items(
    spec: WorkItemSource,
    limits: BatchLimits,
    max_records: int,
    map_: MapFunction,  # noqa: ARG001 - there is nothing to count
) -> list[Part]:
    """Return parts of the items of ``spec``, which end where a batch ends.

    Raises:
        UsageError: The size is out of range.
    """
    check_size(spec)
    total = min(spec.records, max_records or spec.records)
    batch = records_in_batch(spec, limits)
    wanted = min(_PART_RECORDS, math.ceil(total / _PARTS))
    size = max(1, round(wanted / batch)) * batch
    return [
        Part(first // batch, first + 1, min(size, total - first))
        for first in range(0, total, size)
    ]


def read_item_part(
    spec: WorkItemSource, limits: BatchLimits, part: Part
) -> Iterator[Output[WorkItems]]:
    """Yield the items of ``part`` as batches."""
    last = part.first_record + part.records - 1
    yield from _items(spec, limits, part.first_record, last)


def cut_items(items: WorkItems, start: int, stop: int) -> WorkItems:
    """Return the items from one position up to another."""
    sizes = items.size
    vectors = slice(sum(sizes[:start]), sum(sizes[:stop]))
    squares = [size * size for size in sizes]
    return WorkItems(
        record=items.record[start:stop],
        id=items.id[start:stop],
        size=sizes[start:stop],
        first=items.first[vectors],
        second=items.second[vectors],
        matrix=items.matrix[sum(squares[:start]) : sum(squares[:stop])],
        text=items.text[start:stop],
        iterations=items.iterations[start:stop],
    )


def _items(
    spec: WorkItemSource, limits: BatchLimits, first: int, last: int
) -> Iterator[Output[WorkItems]]:
    maker = ItemMaker(spec)
    maker.skip(first - 1)
    while first <= last:
        # The limits may have changed since the last batch.
        records = range(first, min(first + records_in_batch(spec, limits), last + 1))
        yield Output(maker.next_items(records), len(records))
        first = records.stop


def records_in_batch(spec: WorkItemSource, limits: BatchLimits) -> int:
    """Return how many items fit in a batch; at least 1."""
    return max(1, min(limits.records, limits.bytes // bytes_of_an_item(spec)))


def check_range(name: str, number: int, bits: int) -> None:
    """Raise UsageError unless ``number`` fits in so many unsigned bits."""
    if not 0 <= number < 2**bits:
        raise UsageError(f"{name} {number}: must be 0 to 2^{bits} − 1")


def check_size(spec: WorkItemSource) -> None:
    """Raise UsageError if the items would be empty or too large."""
    if not 1 <= spec.size <= _MAX_SIZE:
        raise UsageError(f"size {spec.size}: must be 1 to {_MAX_SIZE}")


ITEMS = Source(
    WorkItemSource,
    WorkItems,
    describe=work_item_source,
    read=read_items,
    live_limits=True,
    repeatable=True,
    division=Division(read_items, divide_items, read_item_part),
    cut=cut_items,
)
