"""Write the records of `mixed` as JSON lines, for people to read."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.workloads.events.generate import generate_events
from pipeline.workloads.mixed.source import is_item_each, mixed_source
from pipeline.workloads.work_items.generate import item_lines


def mixed_lines(
    records: int,
    seed: int = 1,
    work_ratio: float = 0.5,
    payload_size: str = "medium",
    iterations: int = 500,
) -> Iterator[bytes]:
    """Yield the records that the source makes for the same arguments, one a line.

    Raises:
        UsageError: As `mixed_source` does.
    """
    spec = mixed_source(records, seed, work_ratio, payload_size, iterations)
    items = item_lines(spec.items.records, seed, payload_size, iterations)
    events = generate_events(spec.events, seed)
    return (next(items if is_item else events) for is_item in is_item_each(spec))
