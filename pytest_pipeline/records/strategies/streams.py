"""Streams of whole workloads, and ways of cutting them into batches."""

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
from pytest_pipeline.records.streams import Cutting, Stream, numbered


def streams(
    workload: Workload, data: bytes | None = None, max_records: int = 12
) -> st.SearchStrategy[Stream]:
    """Streams of a workload: of ours any records, of others such as it reads.

    ``data`` is the input of a workload that reads one, and gives the records: its lines
    in any order, or runs of what the source makes of it. Raises UsageError where it is
    needed and not given.
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


def cuttings(max_records: int = 12) -> st.SearchStrategy[Cutting]:
    """Cuttings of streams of so many records; the simplest is one batch."""
    sizes = st.sampled_from([1, 2, 3, 7]) | st.integers(1, max(1, max_records))
    return st.lists(sizes, max_size=max_records).map(tuple)


def batches(
    workload: Workload, data: bytes | None = None, max_records: int = 12
) -> st.SearchStrategy[list[Batch]]:
    """Streams that are cut already, as ingest sends them; see `streams`."""
    return st.builds(
        as_batches, streams(workload, data, max_records), cuttings(max_records)
    )


def as_batches(stream: Stream, cutting: Cutting) -> list[Batch]:
    """Return the batches of a stream, numbered from 0, as ingest sends them."""
    made = []
    for number, output in enumerate(stream.cut(cutting)):
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
    # Of lines that may be anything, few pass every stage.
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
