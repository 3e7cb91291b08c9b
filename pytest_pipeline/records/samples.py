"""Sample records of a workload, the same in every run.

The sample of a built-in workload has a record for each rejection reason, unless an
input is given. The sample of any other workload is what its source reads.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from inspect import signature
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from pipeline.batching import BatchLimits
from pipeline.errors import UsageError
from pipeline.inputs import Inputs
from pipeline.v1.lines_pb2 import Lines
from pipeline.v1.mixed_pb2 import MixedRecords
from pipeline.v1.work_items_pb2 import WorkItems, WorkItemSource
from pipeline.workload import Workload
from pipeline.workloads.events.generate import generate_events
from pytest_pipeline.records.streams import NUMBERED, Stream, numbered

#: The maximum number of records in a sample.
RECORDS = 200

#: The number of records that make a stream long. Batches around all powers of two up to
#: 256 fit in it, and rounding errors of floats add up.
LONG = 2_100

_EVENT = b'{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":10}'

#: A line for each rejection reason.
REFUSED_LINES: Mapping[str, bytes] = {
    "not_utf8": b'{"user":"\xff"}',
    "blank_line": b" \t",
    "malformed_json": b'{"ts":',
    "not_an_object": b"[1]",
    "missing_field": _EVENT.replace(b'"user":"u",', b""),
    "wrong_type": _EVENT.replace(b"10", b"true"),
    "bad_timestamp": _EVENT.replace(b"2026-01", b"2026-13"),
    "unknown_type": _EVENT.replace(b"click", b"buy"),
    "out_of_range": _EVENT.replace(b"10", b"9007199254740993"),
}

_EDGES = (
    _EVENT,
    _EVENT.replace(b"10", b"9"),
    _EVENT.replace(b"10", b"-9007199254740992"),
    _EVENT.replace(b"10", b"9007199254740992"),
    _EVENT.replace(b"10", b"9007199254740991"),
    _EVENT.replace(b"10", b"12345678901.9"),
    _EVENT.replace(b"click", b"view"),
    _EVENT.replace(b"click", b"purchase").replace(b'"u"', '"😀\u00e9"'.encode()),
)


def sample(workload: Workload, data: bytes | None = None) -> Stream:
    """Return between 1 and `RECORDS` sample records of a workload.

    Args:
        workload: the workload.
        data: the input to take records from, for a workload that reads one.

    Raises:
        UsageError: the workload needs ``data`` and there is none, it does not read
            ``data``, or there are no records.
    """
    if data is None and workload.name in _SAMPLES:
        return numbered(_SAMPLES[workload.name]())
    payloads = tuple(islice(_read(workload, data, RECORDS), RECORDS))
    if not payloads:
        raise UsageError(f"workload {workload.name}: its source holds no records")
    return Stream(payloads)


def whole(workload: Workload, data: bytes | None = None) -> Stream:
    """Return all records of ``data``, or the sample if there is no data.

    A source of records without an input is read to its end, but at most `LONG` records.

    Args:
        workload: the workload.
        data: the input to take records from, for a workload that reads one.

    Raises:
        UsageError: see `sample`.
    """
    if data is None and workload.name in _SAMPLES:
        return sample(workload)
    if data is None:
        return Stream(tuple(islice(_read(workload, None, LONG), LONG)))
    return Stream(tuple(_read(workload, data, 0)))


def repeated(stream: Stream) -> Stream | None:
    """Repeat the records of a stream until there are `LONG`.

    Returns:
        The longer stream; None if the stream is as long, or if its records are of a
        type that is not from this package. Those may have to be consecutive.
    """
    if not 0 < len(stream) < LONG or not isinstance(stream.payloads[0], NUMBERED):
        return None
    return numbered(islice(cycle(stream.payloads), LONG))


def _read(workload: Workload, data: bytes | None, records: int) -> Iterator[Message]:
    """Yield the records that the source of a workload reads, one a message.

    Args:
        workload: the workload.
        data: the input to take records from, for a workload that reads one.
        records: the most records to read; 0 reads all.
    """
    describe = workload.source.describe
    known = signature(describe).parameters
    options: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        if "path" in known:
            if data is None:
                raise UsageError(
                    f"workload {workload.name} reads an input, and there is none to "
                    f"take records from; give one (data, --data, --pipeline-data)"
                )
            options["path"] = Path(folder) / "sample"
            options["path"].write_bytes(data)
        elif data is not None:
            raise UsageError(f"workload {workload.name} makes its own records")
        elif "records" in known:
            options["records"] = records
        for output in workload.source.read(
            describe(**options), BatchLimits(records=1), records, Inputs()
        ):
            yield output.message


def _lines() -> Iterator[Lines]:
    lines = [*REFUSED_LINES.values(), *_EDGES]
    # Alternate with generated lines, so that no batch is all of one kind.
    events = generate_events(RECORDS - len(lines) - 1, seed=5, users=9)
    for line in lines:
        yield Lines(text=line + b"\n")
        yield Lines(text=next(events))
    yield Lines(text=b"\n", too_long=[0])
    for line in events:
        yield Lines(text=line)


def _items() -> Iterator[WorkItems]:
    from pipeline.workloads.work_items.items import ItemMaker

    maker = ItemMaker(WorkItemSource(records=RECORDS, seed=5, size=3, iterations=7))
    kinds: list[dict[str, Any]] = [
        {},
        {"size": [0], "first": [], "second": [], "matrix": []},
        {"first": [1.0, float("nan"), 1.0]},
        {"second": [float("-inf"), 1.0, 1.0]},
        {"matrix": [float("inf")] * 9},
        {"matrix": [1.7e308] * 9},
        {"matrix": [1e300] * 9},
        {"first": [0.0] * 3, "second": [-0.0] * 3},
        {"first": [5e-324] * 3},
        {"first": [1e200] * 3, "iterations": [0]},
    ]
    for number in range(RECORDS):
        item = maker.next_items([number + 1])
        # Every third item is an unusual one.
        changes = kinds[number // 3 % len(kinds)] if number % 3 == 0 else {}
        for name, column in changes.items():
            getattr(item, name)[:] = column
        yield item


def _mixed() -> Iterator[MixedRecords]:
    for lines, items in islice(zip(_lines(), _items(), strict=True), RECORDS // 2):
        yield MixedRecords(lines=lines, line_record=[1])
        yield MixedRecords(items=items)


_SAMPLES: Mapping[str, Any] = {
    "events": _lines,
    "work-items": _items,
    "mixed": _mixed,
}
