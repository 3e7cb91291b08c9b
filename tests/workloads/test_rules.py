"""The rules stage of `events`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.v1.events_pb2 import (
    EVENT_TYPE_CLICK,
    EVENT_TYPE_PURCHASE,
    EVENT_TYPE_VIEW,
    Events,
    EventType,
)
from pipeline.workloads.events.rules import rules

rows = st.lists(
    st.tuples(
        st.sampled_from([EVENT_TYPE_CLICK, EVENT_TYPE_VIEW, EVENT_TYPE_PURCHASE]),
        st.integers(8, 12) | st.integers(-(2**53), 2**53),
    )
)


@given(rows)
def test_rules_keep_events_of_value_ten_or_more_except_views(
    rows: list[tuple[EventType, int]],
) -> None:
    """Kept events stay in order, and filtered events are counted."""
    output = rules(
        Events(type=[type_ for type_, _ in rows], value=[value for _, value in rows])
    )

    kept = [row for row in rows if row[1] >= 10 and row[0] != EVENT_TYPE_VIEW]
    message = output.message
    assert list(zip(message.type, message.value, strict=True)) == kept
    assert (output.records, output.filtered) == (len(kept), len(rows) - len(kept))
    assert not output.rejections
