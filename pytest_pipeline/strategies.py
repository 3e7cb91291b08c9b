"""Hypothesis strategies for lines, work items, streams, partitions and batches.

Importing this module needs hypothesis, which the ``test`` extra installs.
"""

from __future__ import annotations

from pytest_pipeline.records.strategies.events import (
    bad_timestamps,
    big_numbers,
    evenly,
    event_files,
    event_lines,
    invalid_lines,
    json_values,
    numbers,
    ordinary_lines,
    overlong_lines,
    timestamps,
    valid_lines,
)
from pytest_pipeline.records.strategies.streams import batches, partitions, streams
from pytest_pipeline.records.strategies.work_items import work_items

__all__ = [
    "bad_timestamps",
    "batches",
    "big_numbers",
    "evenly",
    "event_files",
    "event_lines",
    "invalid_lines",
    "json_values",
    "numbers",
    "ordinary_lines",
    "overlong_lines",
    "partitions",
    "streams",
    "timestamps",
    "valid_lines",
    "work_items",
]
