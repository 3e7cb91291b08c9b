"""Reading a source on from a position."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

from pipeline.batching import BatchLimits, LiveLimits
from pipeline.errors import SourceError
from pipeline.inputs import Inputs
from pipeline.position import read_from
from pipeline.source import Opener, Source
from pipeline.stages import Output
from pipeline.v1.lines_pb2 import Lines, LineSource
from pipeline.v1.pipeline_pb2 import Position
from pipeline.workloads import workload_named
from pipeline.workloads.lines import LINES, line_source
from tests.workloads.test_live_limits import spec_of


def numbered(
    spec: LineSource,  # noqa: ARG001 - there is nothing to read
    limits: BatchLimits,
    max_records: int,  # noqa: ARG001 - all are wanted
    inputs: Opener,  # noqa: ARG001 - there is nothing to read
) -> Iterator[Output[Lines]]:
    """Yield three batches of as many records as the limits allow."""
    for number in range(3):
        text = b"%d\n" % number * limits.records
        yield Output(Lines(first_record=1, text=text), limits.records)


#: A source that cuts all batches alike.
NUMBERED = Source(LineSource, Lines, describe=line_source, read=numbered)


@pytest.mark.parametrize("name", ["events", "work-items", "mixed"])
@pytest.mark.parametrize("bytes_", [1 << 20, 300])
def test_the_batches_after_a_position_are_those_of_the_whole_source(
    tmp_path: Path, name: str, bytes_: int
) -> None:
    """At any place where a batch ends, cut by records or by bytes."""
    source, spec = workload_named(name).source, spec_of(name, tmp_path)
    limits = BatchLimits(7, bytes_)
    whole = list(source.read(spec, limits, 90, Inputs()))

    for batches in range(0, len(whole) + 1, 4):
        records = sum(output.records for output in whole[:batches])
        position = Position(batches=batches, records=records)
        rest = read_from(position, source, spec, limits, 90, Inputs())

        assert list(rest) == whole[batches:]


@pytest.mark.parametrize("name", ["events", "work-items", "mixed"])
def test_limits_that_change_go_on_as_they_were(tmp_path: Path, name: str) -> None:
    """At batch size auto a position can be anywhere."""
    source, spec = workload_named(name).source, spec_of(name, tmp_path)
    limits = LiveLimits(3, 1 << 20)
    outputs = read_from(Position(records=41), source, spec, limits, 0, Inputs())

    sizes = []
    for output in outputs:
        sizes.append(output.records)
        limits.change(2 * output.records, 1 << 20)

    assert sizes == [3, 6, 12, 24, 14]


def test_a_source_without_live_limits_is_skipped_in_its_own_batches() -> None:
    """Its limits must stay as they are."""
    position = Position(batches=2, records=10)
    rest = read_from(position, NUMBERED, LineSource(), BatchLimits(5), 0, Inputs())

    assert [output.message.text for output in rest] == [b"2\n" * 5]


@pytest.mark.parametrize(
    ("source", "records"), [(NUMBERED, 7), (NUMBERED, 16), (LINES, 101)]
)
def test_a_position_that_no_batch_ends_at_is_an_error(
    tmp_path: Path, source: Source[Any, Message], records: int
) -> None:
    """In the middle of a batch, or after the end of the source."""
    spec, inputs = spec_of("events", tmp_path), Inputs()
    rest = read_from(Position(records=records), source, spec, BatchLimits(5), 0, inputs)

    with pytest.raises(SourceError, match=f"to record {records}, where no batch"):
        next(rest)


def test_a_run_from_the_start_reads_the_source_alone() -> None:
    """Its limits are given to it as they are."""
    given = BatchLimits(5)

    def read(
        spec: LineSource, limits: BatchLimits, max_records: int, inputs: Opener
    ) -> Iterator[Output[Lines]]:
        assert limits is given
        yield from LINES.read(spec, limits, max_records, inputs)

    source = Source(LineSource, Lines, line_source, read, live_limits=True)

    with pytest.raises(SourceError, match="no such file"):
        next(read_from(Position(), source, line_source("missing"), given, 0, Inputs()))
