"""Strategies for streams of a workload, and for partitions into batches."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from hypothesis import strategies as st

from pipeline.transport.wire import pack
from pipeline.v1.lines_pb2 import Lines
from pipeline.v1.mixed_pb2 import MixedRecords
from pipeline.v1.pipeline_pb2 import Batch
from pipeline.workload import Workload
from pytest_pipeline.records.samples import sample
from pytest_pipeline.records.strategies.events import (
    evenly,
    event_lines,
    ordinary_lines,
)
from pytest_pipeline.records.strategies.work_items import work_items
from pytest_pipeline.records.streams import Partition, Stream, numbered


def streams(
    workload: Workload, data: bytes | None = None, max_records: int = 12
) -> st.SearchStrategy[Stream]:
    """Generate streams of a workload.

    Without ``data``, a built-in workload gets records of every kind, valid and invalid.
    Otherwise the records are those of the source of the workload: its lines in any
    order, or consecutive runs of its records if they are not lines.

    Args:
        workload: the workload.
        data: the input to take records from, for a workload that reads one.
        max_records: the maximum number of records in a stream.

    Raises:
        UsageError: the workload needs ``data`` and there is none.
    """
    if data is None and workload.name in _RECORDS:
        return _lists(_RECORDS[workload.name](), max_records)
    payloads = sample(workload, data).payloads
    if workload.source.returns is Lines:
        return _lists(st.sampled_from(payloads), max_records)
    return st.builds(
        lambda start, length: Stream(payloads[start : start + length]),
        st.integers(0, max(0, len(payloads) - 1)),
        st.integers(0, max_records),
    )


def partitions(max_records: int = 12) -> st.SearchStrategy[Partition]:
    """Generate partitions of streams; the simplest one is a single batch.

    Args:
        max_records: the maximum number of records in the streams.
    """
    sizes = st.sampled_from([1, 2, 3, 7]) | st.integers(1, max(1, max_records))
    return st.lists(sizes, max_size=max_records).map(tuple)


def batches(
    workload: Workload, data: bytes | None = None, max_records: int = 12
) -> st.SearchStrategy[list[Batch]]:
    """Generate streams that are cut into batches, as ingest sends them.

    The arguments are those of `streams`.
    """
    return st.builds(
        as_batches, streams(workload, data, max_records), partitions(max_records)
    )


def as_batches(stream: Stream, partition: Partition) -> list[Batch]:
    """Cut a stream into batches numbered from 0, as ingest sends them."""
    made = []
    for number, output in enumerate(stream.cut(partition)):
        batch = Batch(number=number, records=output.records)
        pack(output.message, into=batch.payload)
        made.append(batch)
    return made


def _lists(
    records: st.SearchStrategy[Any], max_records: int
) -> st.SearchStrategy[Stream]:
    return st.lists(records, max_size=max_records).map(numbered)


@cache
def _lines() -> st.SearchStrategy[Lines]:
    # Few arbitrary lines pass every stage, so half of the lines are ordinary ones.
    lines = evenly(ordinary_lines(), event_lines())
    return evenly(
        lines.map(lambda line: Lines(text=line + b"\n")),
        lines.map(lambda line: Lines(text=line + b"\n")),
        st.just(Lines(text=b"\n", too_long=[0])),
    )


@cache
def _mixed() -> st.SearchStrategy[MixedRecords]:
    return evenly(
        _lines().map(lambda lines: MixedRecords(lines=lines, line_record=[1])),
        work_items().map(lambda items: MixedRecords(items=items)),
    )


_RECORDS: dict[str, Callable[[], st.SearchStrategy[Any]]] = {
    "events": _lines,
    "work-items": work_items,
    "mixed": _mixed,
}
