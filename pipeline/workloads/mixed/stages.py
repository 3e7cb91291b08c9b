"""The stages and the result of `mixed`: those of `events` and `work-items` combined."""

from __future__ import annotations

from operator import attrgetter
from typing import Any, TypeVar

from google.protobuf.message import Message

from pipeline.stages import Output
from pipeline.v1.mixed_pb2 import MixedParsed, MixedRecords, MixedScored, MixedTotals
from pipeline.v1.pipeline_pb2 import Rejection
from pipeline.v1.work_items_pb2 import Scores
from pipeline.workloads import events, work_items
from pipeline.workloads.events.aggregate import TotalsByType
from pipeline.workloads.work_items.aggregate import ItemScores

M = TypeVar("M", bound=Message)

_parse_lines, _keep_events, _total_events = events.EVENTS.transforms
_parse_items, _score_items, _total_items = work_items.WORK_ITEMS.transforms


def parse(records: MixedRecords) -> Output[MixedParsed]:
    """Parse the events and the items, or reject them.

    Raises:
        ValueError: Columns contradict each other.
    """
    lines = records.lines
    if len(records.line_record) != lines.text.count(b"\n"):
        raise ValueError(
            f"MixedRecords.line_record has {len(records.line_record)} values, not as "
            f"many as there are lines"
        )
    read = _parse_lines(lines)
    items = _parse_items(records.items)
    # Number the rejections by record of the run, not by event.
    refused = [
        Rejection(
            record=records.line_record[rejection.record - lines.first_record],
            reason=rejection.reason,
            field=rejection.field,
        )
        for rejection in read.rejections
    ]
    renumbered = Output(read.message, read.records, read.filtered, refused)
    parsed = MixedParsed(events=read.message, items=items.message)
    return _together(parsed, renumbered, items)


def rules(records: MixedParsed) -> Output[MixedScored]:
    """Filter the events and score the items."""
    kept, scored = _keep_events(records.events), _score_items(records.items)
    return _together(
        MixedScored(amounts=kept.message, items=scored.message), kept, scored
    )


def aggregate(records: MixedScored) -> Output[MixedTotals]:
    """Total the events and finish the scores of the items."""
    totals, scores = _total_events(records.amounts), _total_items(records.items)
    return _together(
        MixedTotals(totals=totals.message, scores=scores.message), totals, scores
    )


def _together(message: M, events: Output[Any], items: Output[Any]) -> Output[M]:
    return Output(
        message,
        records=events.records + items.records,
        filtered=events.filtered + items.filtered,
        rejections=sorted(
            [*events.rejections, *items.rejections], key=attrgetter("record")
        ),
    )


class MixedResult:
    """The accumulator of `mixed`: the result of the items, then that of the events."""

    def __init__(self) -> None:
        self._items = ItemScores()
        self._events = TotalsByType()

    @property
    def records(self) -> int:
        """Items and events so far."""
        return self._items.records + self._events.records

    def add(self, totals: MixedTotals, /) -> bytes:
        """Merge the totals; return the lines of the items."""
        return self._items.add(totals.scores) + self._events.add(totals.totals)

    def state(self) -> MixedTotals:
        """Return both totals so far."""
        return MixedTotals(
            totals=self._events.state(), scores=Scores(totals=self._items.state())
        )

    def merge(self, state: MixedTotals, /) -> None:
        """Merge both totals."""
        self._events.merge(state.totals)
        self._items.merge(state.scores.totals)

    def finish(self) -> bytes:
        """Return the totals of the items, then a line for each type of event."""
        return self._items.finish() + self._events.finish()
