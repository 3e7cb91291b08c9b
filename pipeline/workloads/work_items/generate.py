"""Write the items of `work-items` as JSON lines, for people to read."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pipeline.v1.work_items_pb2 import WorkItems
from pipeline.workloads.work_items.items import ItemMaker
from pipeline.workloads.work_items.source import work_item_source


def item_lines(
    records: int, seed: int = 1, payload_size: str = "medium", iterations: int = 500
) -> Iterator[bytes]:
    """Yield the items that the source makes for the same arguments, one a line.

    Raises:
        UsageError: As `work_item_source` does.
    """
    spec = work_item_source(records, seed, payload_size, iterations)
    maker = ItemMaker(spec)
    return (item_line(maker.next_items([record + 1])) for record in range(records))


def item_line(item: WorkItems) -> bytes:
    """Return one item as a JSON object, ended by LF."""
    size, matrix = item.size[0], item.matrix
    fields = {
        "id": item.id[0],
        "first": list(item.first),
        "second": list(item.second),
        "matrix": [list(matrix[row : row + size]) for row in range(0, size**2, size)],
        "text": item.text[0],
        "iterations": item.iterations[0],
    }
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"
