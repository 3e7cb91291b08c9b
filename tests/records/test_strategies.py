"""The strategies and the samples: what they are good for."""

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
    """Return the reasons for which records are rejected, with their numbers."""
    reasons: Counter[str] = Counter()
    for batch in batches:
        for at in range(1, 4):
            stages = workload_named(workload).transforms[:at]
            output = passed(stages, batch)
            reasons.update(rejection.reason for rejection in output.rejections)
    return reasons


@pytest.mark.parametrize("workload", BUILT_IN)
def test_a_sample_has_a_record_for_each_reason(workload: str) -> None:
    """And some that pass every stage, and are filtered."""
    records = sample(workload_named(workload)).cut((7, 7))

    assert set(reasons_of(workload, records)) == WANTED[workload]
    assert sample(workload_named(workload)) == sample(workload_named(workload))
    assert any(
        passed(workload_named(workload).transforms, batch).records for batch in records
    )


@pytest.mark.parametrize("workload", ["events", "work-items"])
def test_streams_come_to_every_reason(workload: str) -> None:
    """Each is among the examples of a few ordinary tests; mixed has those of both."""
    reasons: Counter[str] = Counter()

    # Which examples come depends on what is imported, for hypothesis takes constants
    # from there; so there are many.
    @settings(max_examples=1000, database=None)
    @given(strategies.streams(workload_named(workload)))
    def count(stream: Stream) -> None:
        reasons.update(reasons_of(workload, stream.cut(())))

    count()
    assert set(reasons) == WANTED[workload]


def test_streams_come_to_records_that_pass_and_differ() -> None:
    """So that there is something to merge."""
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


def test_files_hold_overlong_lines_where_a_limit_is_given() -> None:
    """They are lines like the others, of one byte over at the least."""
    find(
        strategies.event_files(max_line_bytes=200),
        lambda data: any(len(line.rstrip(b"\r")) > 200 for line in data.split(b"\n")),
        settings=settings(max_examples=200, database=None, phases=[Phase.generate]),
    )


@given(strategies.overlong_lines(100))
def test_an_overlong_line_is_longer_than_the_limit(line: bytes) -> None:
    """By one byte at the least, and is one line."""
    assert len(line) > 100
    assert b"\n" not in line


@pytest.mark.parametrize("workload", BUILT_IN)
@given(st.data())
@settings(max_examples=20)
def test_batches_are_numbered_and_hold_all_records(
    workload: str, data: st.DataObject
) -> None:
    """From 0 without gaps, none of them empty, as ingest sends them."""
    batches: list[Batch] = data.draw(strategies.batches(workload_named(workload)))

    assert [batch.number for batch in batches] == list(range(len(batches)))
    assert all(batch.records >= 1 for batch in batches)


def test_the_records_of_a_users_own_workload_are_those_it_reads() -> None:
    """Its lines in any order, numbered from 1; nothing of ours is among them."""
    lines = b"one\ntwo\nthree\n"

    stream = find(strategies.streams(EVENTS, lines), lambda stream: len(stream) == 2)

    assert [payload.first_record for payload in stream.payloads] == [1, 2]  # type: ignore[attr-defined]
    assert {payload.text for payload in stream.payloads} <= {  # type: ignore[attr-defined]
        b"one\n",
        b"two\n",
        b"three\n",
    }


def test_columns_are_put_end_to_end_and_lines_together() -> None:
    """Positions of lines that were too long move with their batch."""
    events = joined([Events(user=["a"]), Events(), Events(user=["b", "c"])])
    lines = joined(
        [
            Lines(first_record=4, text=b"a\n\n", too_long=[1]),
            Lines(first_record=6, text=b"\nb\n", too_long=[0]),
        ]
    )

    assert events == Events(user=["a", "b", "c"])
    assert lines == Lines(first_record=4, text=b"a\n\n\nb\n", too_long=[1, 2])


def test_a_payload_without_its_records_keeps_all_else() -> None:
    """Such as the type of its rows; that is what an earlier stage leaves of a batch."""
    rows = Rows(type="a.Type", record=[1, 2], row=[b"x", b"y"])
    mixed = MixedRecords(lines=Lines(first_record=3, text=b"x\n"), line_record=[1])

    assert emptied(rows) == Rows(type="a.Type")
    assert emptied(mixed) == MixedRecords(lines=Lines(first_record=3))


def test_what_is_another_in_each_batch_can_not_be_put_together() -> None:
    """The error names the field."""
    with pytest.raises(UsageError, match="number: is another in each batch"):
        joined([Batch(number=0), Batch(number=1)])


def test_records_are_numbered_by_their_place() -> None:
    """Events among work items by their place in the run, and among events too."""
    line = MixedRecords(lines=Lines(text=b"x\n"), line_record=[1])
    item = MixedRecords(items=WorkItems(record=[1], id=[7]))

    stream = numbered([line, item, line])
    (batch,) = stream.cut(())

    assert list(batch.message.line_record) == [1, 3]
    assert list(batch.message.items.record) == [2]
    assert batch.message.lines == Lines(first_record=1, text=b"x\nx\n")
    (_, second) = stream.cut((2,))
    assert second.message.lines.first_record == 2
