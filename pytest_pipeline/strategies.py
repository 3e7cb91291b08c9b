"""Hypothesis strategies for what pipelines are fed with.

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
from pytest_pipeline.records.strategies.streams import batches, cuttings, streams
from pytest_pipeline.records.strategies.work_items import work_items

__all__ = [
    "bad_timestamps",
    "batches",
    "big_numbers",
    "cuttings",
    "evenly",
    "event_files",
    "event_lines",
    "invalid_lines",
    "json_values",
    "numbers",
    "ordinary_lines",
    "overlong_lines",
    "streams",
    "timestamps",
    "valid_lines",
    "work_items",
]
