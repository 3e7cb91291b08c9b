"""Strategies, samples, and the payload functions that they use."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.stages import Output
from pipeline.v1.events_pb2 import Events, EventType, Totals
from pipeline.v1.lines_pb2 import Lines
from pipeline.v1.mixed_pb2 import MixedRecords
from pipeline.v1.pipeline_pb2 import Batch
from pipeline.v1.rows_pb2 import Rows
from pipeline.v1.work_items_pb2 import WorkItems
from pipeline.workloads import BUILT_IN, workload_named
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.parse import REASONS
from pipeline.workloads.work_items.columns import REASONS as ITEM_REASONS
from pytest_pipeline import strategies
from pytest_pipeline.invariance.partitioned_stream import passed
from pytest_pipeline.records.payloads import emptied, joined
from pytest_pipeline.records.samples import sample
from pytest_pipeline.records.streams import Stream, numbered

WANTED = {
    "events": set(REASONS),
    "work-items": set(ITEM_REASONS),
    "mixed": {*REASONS, *ITEM_REASONS},
}


def reasons_of(workload: str, batches: list[Output[Any]]) -> Counter[str]:
    """Count the rejections of all stages, by reason."""
    reasons: Counter[str] = Counter()
    for batch in batches:
        for at in range(1, 4):
            stages = workload_named(workload).transforms[:at]
            output = passed(stages, batch)
            reasons.update(rejection.reason for rejection in output.rejections)
    return reasons


@pytest.mark.parametrize("workload", BUILT_IN)
def test_a_sample_has_a_record_for_each_rejection_reason(workload: str) -> None:
    """Some of its records pass every stage, and it is the same each time."""
    records = sample(workload_named(workload)).cut((7, 7))

    assert set(reasons_of(workload, records)) == WANTED[workload]
    assert sample(workload_named(workload)) == sample(workload_named(workload))
    assert any(
        passed(workload_named(workload).transforms, batch).records for batch in records
    )


@pytest.mark.parametrize("workload", ["events", "work-items"])
def test_streams_have_records_for_every_rejection_reason(workload: str) -> None:
    """At most a thousand examples have all of them; mixed has those of both."""
    reasons: Counter[str] = Counter()

    def are_all_there(stream: Stream) -> bool:
        reasons.update(reasons_of(workload, stream.cut(())))
        return set(reasons) == WANTED[workload]

    # Hypothesis draws constants from the modules that are imported, so the examples
    # vary with the imports. A thousand are enough in any case.
    find(
        strategies.streams(workload_named(workload)),
        are_all_there,
        settings=settings(max_examples=1000, database=None, phases=[Phase.generate]),
    )


def test_streams_have_records_of_two_types_that_pass() -> None:
    """A test of merging needs states that differ."""
    streams = strategies.streams(EVENTS)

    def has_two_kinds(stream: Stream) -> bool:
        outputs = [passed(EVENTS.transforms, batch) for batch in stream.cut((1, 1))]
        totals: list[Totals] = [output.message for output in outputs]
        kinds: set[EventType] = {one.type for all_ in totals for one in all_.totals}
        return len(kinds) == 2

    find(
        streams,
        has_two_kinds,
        settings=settings(max_examples=200, database=None, phases=[Phase.generate]),
    )


def test_files_have_overlong_lines_if_a_limit_is_given() -> None:
    """Two hundred examples have one."""
    find(
        strategies.event_files(max_line_bytes=200),
        lambda data: any(len(line.rstrip(b"\r")) > 200 for line in data.split(b"\n")),
        settings=settings(max_examples=200, database=None, phases=[Phase.generate]),
    )


@given(strategies.overlong_lines(100))
def test_an_overlong_line_is_longer_than_the_limit(line: bytes) -> None:
    """It has no line end."""
    assert len(line) > 100
    assert b"\n" not in line


@pytest.mark.parametrize("workload", BUILT_IN)
@given(st.data())
@settings(max_examples=20)
def test_batches_are_numbered_from_zero_and_not_empty(
    workload: str, data: st.DataObject
) -> None:
    """Ingest sends them so."""
    batches: list[Batch] = data.draw(strategies.batches(workload_named(workload)))

    assert [batch.number for batch in batches] == list(range(len(batches)))
    assert all(batch.records >= 1 for batch in batches)


def test_streams_of_an_input_have_only_its_lines() -> None:
    """The lines come in any order, numbered from 1."""
    lines = b"one\ntwo\nthree\n"

    stream = find(strategies.streams(EVENTS, lines), lambda stream: len(stream) == 2)

    assert [payload.first_record for payload in stream.payloads] == [1, 2]  # type: ignore[attr-defined]
    assert {payload.text for payload in stream.payloads} <= {  # type: ignore[attr-defined]
        b"one\n",
        b"two\n",
        b"three\n",
    }


def test_joined_payloads_have_all_columns_and_lines() -> None:
    """Positions of lines that are too long are shifted."""
    events = joined([Events(user=["a"]), Events(), Events(user=["b", "c"])])
    lines = joined(
        [
            Lines(first_record=4, text=b"a\n\n", too_long=[1]),
            Lines(first_record=6, text=b"\nb\n", too_long=[0]),
        ]
    )

    assert events == Events(user=["a", "b", "c"])
    assert lines == Lines(first_record=4, text=b"a\n\n\nb\n", too_long=[1, 2])


def test_an_emptied_payload_keeps_its_other_fields() -> None:
    """Its columns and lines are gone."""
    rows = Rows(type="a.Type", record=[1, 2], row=[b"x", b"y"])
    mixed = MixedRecords(lines=Lines(first_record=3, text=b"x\n"), line_record=[1])

    assert emptied(rows) == Rows(type="a.Type")
    assert emptied(mixed) == MixedRecords(lines=Lines(first_record=3))


def test_payloads_that_differ_in_a_plain_field_can_not_be_joined() -> None:
    """The error names the field."""
    with pytest.raises(UsageError, match="number: is another in each batch"):
        joined([Batch(number=0), Batch(number=1)])


def test_records_are_numbered_by_their_position() -> None:
    """A line of mixed records has a number among all records, and one among lines."""
    line = MixedRecords(lines=Lines(text=b"x\n"), line_record=[1])
    item = MixedRecords(items=WorkItems(record=[1], id=[7]))

    stream = numbered([line, item, line])
    (batch,) = stream.cut(())

    assert list(batch.message.line_record) == [1, 3]
    assert list(batch.message.items.record) == [2]
    assert batch.message.lines == Lines(first_record=1, text=b"x\nx\n")
    (_, second) = stream.cut((2,))
    assert second.message.lines.first_record == 2
