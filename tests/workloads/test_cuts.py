"""A message of a source that is cut is what the source sends in smaller batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

from pipeline import per_record
from pipeline.batching import BatchLimits
from pipeline.inputs import Inputs
from pipeline.stages import cut_columns
from pipeline.v1.lines_pb2 import Lines
from pipeline.v1.pipeline_pb2 import Batch, Rejection
from pipeline.workloads.lines import LINES, cut_lines, line_source
from pipeline.workloads.mixed.source import MIXED_RECORDS, mixed_source
from pipeline.workloads.work_items.source import ITEMS, work_item_source

RECORDS = 9


@pytest.mark.parametrize("name", ["lines", "work-items", "mixed"])
def test_a_cut_is_what_the_source_sends_in_smaller_batches(
    tmp_path: Path, name: str
) -> None:
    """From any record to any other."""
    path = tmp_path / "in"
    path.write_bytes(b"a\n\nlong line\n\r\nx\ry\n\xff\nlong line\nb\nlast")
    sources: dict[str, tuple[Any, Message]] = {
        "lines": (LINES, line_source(path, max_line_bytes=6)),
        "work-items": (ITEMS, work_item_source(RECORDS, payload_size="small")),
        "mixed": (MIXED_RECORDS, mixed_source(RECORDS, payload_size="small")),
    }
    source, spec = sources[name]
    (whole,) = batches(source, spec, RECORDS)

    for size in range(1, RECORDS + 1):
        for position, sent in enumerate(batches(source, spec, size)):
            start = position * size
            cut = source.cut(whole, start, min(start + size, RECORDS))
            assert cut == sent


def batches(source: Any, spec: Message, size: int) -> list[Message]:
    """Return the messages of a source in batches of a size."""
    outputs = source.read(spec, BatchLimits(size), 0, Inputs())
    return [output.message for output in outputs]


def test_a_cut_without_a_record_is_empty() -> None:
    """At any position, with the number of the record that would come next."""
    lines = Lines(first_record=11, text=b"a\nb\n", too_long=[1])

    assert cut_lines(lines, 0, 0) == Lines(first_record=11)
    assert cut_lines(lines, 2, 2) == Lines(first_record=13)


def test_cut_columns_keep_what_is_not_a_column() -> None:
    """Each column is cut at the same records."""
    batch = Batch(number=3, rejections=[Rejection(record=n) for n in range(4)])

    cut = cut_columns(batch, 1, 3)

    assert cut.number == 3
    assert [each.record for each in cut.rejections] == [1, 2]
    assert len(batch.rejections) == 4


def test_rows_of_a_stage_of_one_record_can_be_cut() -> None:
    """Each row keeps its number and its type."""

    def parse(line: str) -> Lines:
        return Lines(text=line.encode())

    parse_stage = per_record(parse)
    rows = parse_stage(Lines(first_record=5, text=b"a\nb\nc\n")).message
    assert parse_stage.cut is not None

    cut = parse_stage.cut(rows, 1, 3)

    assert cut == parse_stage(Lines(first_record=6, text=b"b\nc\n")).message
