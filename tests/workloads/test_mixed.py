"""The workload `mixed`: events and work items in one stream."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.accumulator import Accumulator
from pipeline.batching import BatchLimits, LineBatcher
from pipeline.errors import UsageError
from pipeline.stages import Output
from pipeline.v1.lines_pb2 import Lines
from pipeline.v1.mixed_pb2 import MixedRecords, MixedSource
from pipeline.v1.pipeline_pb2 import Rejection
from pipeline.v1.work_items_pb2 import WorkItems, WorkItemSource
from pipeline.workload import Workload
from pipeline.workloads import workload_named
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.generate import generate_events
from pipeline.workloads.mixed import MIXED, mixed_source
from pipeline.workloads.mixed.generate import mixed_lines
from pipeline.workloads.mixed.stages import parse
from pipeline.workloads.work_items import WORK_ITEMS, work_item_source
from pipeline.workloads.work_items.generate import item_lines


class NoInputs:
    """Inputs of a source that must open nothing."""

    def open(self, path: str) -> NoReturn:
        """Fail the test."""
        raise AssertionError(path)


def read(
    spec: MixedSource, limits: BatchLimits | None = None, max_records: int = 0
) -> list[Output[MixedRecords]]:
    """Return all batches of a source."""
    limits = limits or BatchLimits()
    return list(MIXED.source.read(spec, limits, max_records, NoInputs()))


@dataclass
class Stream:
    """All batches of a source, concatenated."""

    text: bytes = b""
    line_records: list[int] = field(default_factory=list)
    items: WorkItems = field(default_factory=WorkItems)


def together(batches: list[Output[MixedRecords]]) -> Stream:
    """Concatenate batches, whose lines must be numbered without gaps."""
    stream = Stream()
    for batch in batches:
        message = batch.message
        assert message.lines.first_record == len(stream.line_records) + 1
        assert batch.records == len(message.line_record) + len(message.items.id)
        stream.text += message.lines.text
        stream.line_records += message.line_record
        stream.items.MergeFrom(message.items)
    return stream


@dataclass
class Run:
    """The result and the counts of a run through the stage functions."""

    result: bytes = b""
    records: int = 0
    filtered: int = 0
    rejections: list[Rejection] = field(default_factory=list)


def run_of(workload: Workload, batches: list[Output[Any]]) -> Run:
    """Pass batches through the stages of a workload."""
    run = Run()
    accumulator: Accumulator[Any] = workload.new_result()
    for batch in batches:
        message, records = batch.message, batch.records
        for stage in workload.transforms:
            output = stage(message)
            gone = output.filtered + len(output.rejections)
            assert output.records == records - gone
            run.filtered += output.filtered
            run.rejections += output.rejections
            message, records = output.message, output.records
        run.result += accumulator.add(message)
    run.result += accumulator.finish()
    run.records = accumulator.records
    return run


def event_batches(text: bytes, batch_size: int) -> list[Output[Lines]]:
    """Cut a file of events into batches, as the events workload does."""
    batcher = LineBatcher(BatchLimits(batch_size), max_line_bytes=1000)
    return [
        Output(Lines(first_record=batch.first_record, text=batch.text), batch.records)
        for batch in [*batcher.feed(text), *batcher.finish()]
    ]


def item_batches(spec: WorkItemSource, batch_size: int) -> list[Output[WorkItems]]:
    """Return batches of the source of work items."""
    limits = BatchLimits(batch_size)
    return list(WORK_ITEMS.source.read(spec, limits, 0, NoInputs()))


@given(
    st.integers(0, 30),
    st.integers(0, 2**64 - 1),
    st.floats(0, 1) | st.sampled_from([0.0, 0.5, 1.0]),
    st.integers(1, 35),
)
def test_events_and_items_equal_those_of_their_own_workloads(
    records: int, seed: int, ratio: float, batch_size: int
) -> None:
    """They are in the same order; only the items' record numbers differ."""
    spec = mixed_source(records, seed, ratio, "small")

    stream = together(read(spec, BatchLimits(batch_size)))

    numbers = [*stream.line_records, *stream.items.record]
    assert sorted(numbers) == list(range(1, records + 1))
    assert stream.line_records == sorted(stream.line_records)
    assert list(stream.items.record) == sorted(stream.items.record)
    events = len(stream.line_records)
    assert stream.text == b"".join(generate_events(events, seed, users=1000))
    pure = WorkItems()
    for batch in item_batches(work_item_source(records - events, seed, "small"), 7):
        pure.MergeFrom(batch.message)
    stream.items.record[:] = pure.record
    assert stream.items == pure


@pytest.mark.parametrize(
    ("records", "ratio", "items"),
    [
        (10, 0.5, 5),
        (10, 0.0, 0),
        (10, 1.0, 10),
        (10, 0.26, 3),
        (3, 0.5, 2),
        (1, 0.5, 0),
        (5, 1e-9, 0),
        (0, 0.5, 0),
        (2**63 + 1, 1.0, 2**63 + 1),
    ],
)
def test_the_number_of_work_items_is_exactly_the_ratio(
    records: int, ratio: float, items: int
) -> None:
    """It is rounded half to even; the other records are events."""
    spec = mixed_source(records, work_ratio=ratio)

    assert (spec.items.records, spec.events) == (items, records - items)


def test_the_order_of_events_and_items_depends_on_the_seed() -> None:
    """Items are spread over the whole run."""
    one, again, other = (
        list(together(read(mixed_source(400, seed))).items.record) for seed in (1, 1, 2)
    )

    assert one == again != other
    assert 70 < sum(record <= 200 for record in one) < 130


@given(st.integers(1, 40), st.integers(0, 45), st.integers(1, 5000))
def test_records_do_not_depend_on_the_batches(
    batch_size: int, max_records: int, batch_bytes: int
) -> None:
    """Nor on max_records. Only a batch of one record exceeds the byte limit."""
    spec = mixed_source(40, seed=3, payload_size="small")

    batches = read(spec, BatchLimits(batch_size, batch_bytes), max_records)

    for batch in batches:
        assert 1 <= batch.records <= batch_size
        assert batch.records == 1 or batch.message.ByteSize() <= batch_bytes
    whole = together(read(spec))
    expected = max_records or 40
    stream = together(batches)
    lines = [record for record in whole.line_records if record <= expected]
    assert stream.line_records == lines
    assert whole.text.startswith(stream.text)
    assert stream.text.count(b"\n") == len(lines)
    items = [record for record in whole.items.record if record <= expected]
    assert list(stream.items.record) == items
    assert list(stream.items.first) == whole.items.first[: 5 * len(items)]


def test_batches_are_full() -> None:
    """All but the last have as many records as the batch size."""
    batches = read(mixed_source(25), BatchLimits(10))

    assert [batch.records for batch in batches] == [10, 10, 5]


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_a_ratio_of_0_gives_the_result_of_the_events_workload(batch_size: int) -> None:
    """The events are those of a file generated from the same seed."""
    text = b"".join(generate_events(200, 5))

    mixed = run_of(MIXED, list(read(mixed_source(200, 5, 0.0), BatchLimits(3))))

    assert mixed == run_of(EVENTS, event_batches(text, batch_size))
    assert mixed.result.count(b"\n") == 2


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_a_ratio_of_1_gives_the_result_of_the_work_items_workload(
    batch_size: int,
) -> None:
    """The items are those of a source with the same arguments."""
    settings: dict[str, Any] = {"payload_size": "large", "iterations": 3}
    spec = work_item_source(200, 5, **settings)

    mixed = run_of(MIXED, list(read(mixed_source(200, 5, 1.0, **settings))))

    assert mixed == run_of(WORK_ITEMS, item_batches(spec, batch_size))
    assert mixed.result.count(b"\n") == 201


def test_the_result_is_that_of_the_items_followed_by_that_of_the_events() -> None:
    """It is the same for every batch size."""
    spec = mixed_source(200, 5, 0.25, iterations=3)

    runs = [
        run_of(MIXED, list(read(spec, BatchLimits(batch_size))))
        for batch_size in (1, 7, 100)
    ]

    assert runs[0] == runs[1] == runs[2]
    items = run_of(WORK_ITEMS, item_batches(spec.items, 10))
    events = run_of(EVENTS, event_batches(b"".join(generate_events(150, 5)), 10))
    assert runs[0].result == items.result + events.result
    assert runs[0].records == items.records + events.records
    assert runs[0].filtered == items.filtered + events.filtered > 0


def test_rejections_have_the_record_numbers_of_the_run() -> None:
    """Those of events and items are in one ascending order."""
    batch = read(mixed_source(8, seed=2, payload_size="small"))[0]
    records = batch.message
    lines = records.lines.text.splitlines()
    lines[1] = lines[3] = b"{}"
    records.lines.text = b"\n".join([*lines, b""])
    records.lines.first_record = 101
    records.items.second[0] = math.nan
    records.items.matrix[-1] = math.inf

    output = parse(records)

    expected = sorted(
        [
            (records.line_record[1], "missing_field", "ts"),
            (records.line_record[3], "missing_field", "ts"),
            (records.items.record[0], "not_finite", "second"),
            (records.items.record[3], "not_finite", "matrix"),
        ]
    )
    assert [
        (refused.record, refused.reason, refused.field) for refused in output.rejections
    ] == expected
    assert output.records == 4


def test_lines_and_record_numbers_of_different_lengths_fail_the_stage() -> None:
    """There may be neither too few nor too many numbers."""
    records = MixedRecords(lines=Lines(first_record=1, text=b"{}\n{}\n"))
    for numbers in ([7], [7, 8, 9]):
        records.line_record[:] = numbers
        with pytest.raises(ValueError, match="line_record"):
            parse(records)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ((-1,), "records"),
        ((1, -1), "seed"),
        ((1, 1, -0.1), "work ratio"),
        ((1, 1, 1.1), "work ratio"),
        ((1, 1, math.nan), "work ratio"),
        ((1, 1, 0.5, "huge"), "payload size"),
        ((1, 1, 0.5, "small", -1), "iterations"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(
    settings: tuple[int, int, float, str, int], name: str
) -> None:
    """The error names the setting."""
    with pytest.raises(UsageError, match=name):
        mixed_source(*settings)


def test_the_defaults_are_half_work_items_with_their_own_defaults() -> None:
    """The seed is 1."""
    assert mixed_source(8) == MixedSource(items=work_item_source(4), events=4)


def test_lines_are_the_records_as_json() -> None:
    """They are the lines of both generators, in the order of a run."""
    lines = list(mixed_lines(30, 4, 0.3, "small", 9))

    assert len(lines) == 30
    items = list(item_lines(9, 4, "small", 9))
    events = list(generate_events(21, 4))
    assert [line for line in lines if b'"matrix"' in line] == items
    assert [line for line in lines if b'"ts"' in line] == events
    numbers = [at for at, line in enumerate(lines, 1) if "matrix" in json.loads(line)]
    assert numbers == list(together(read(mixed_source(30, 4, 0.3))).items.record)
    assert len(list(islice(mixed_lines(2**60), 2))) == 2


def test_an_invalid_size_in_the_spec_is_refused() -> None:
    """The spec may come from another program."""
    with pytest.raises(UsageError, match="size 0"):
        read(MixedSource(items=WorkItemSource(records=1)))


def test_the_workload_is_found_by_its_name() -> None:
    """It has the five stages of the pipeline."""
    workload = workload_named("mixed")

    assert workload == MIXED
    assert workload.stage_names == ("ingest", "parse", "rules", "aggregate", "sink")
