"""The totals of `events`: a commutative monoid with exact sums."""

from __future__ import annotations

import json
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.v1.events_pb2 import (
    EVENT_TYPE_CLICK,
    EVENT_TYPE_PURCHASE,
    Amounts,
    EventType,
    Totals,
)
from pipeline.workloads.events.aggregate import TotalsByType, aggregate, to_bytes

amounts = st.lists(
    st.tuples(
        st.sampled_from([EVENT_TYPE_CLICK, EVENT_TYPE_PURCHASE]),
        st.integers(-(2**53), 2**53),
    )
)
Row = tuple[EventType, int]


def state_of(rows: list[Row]) -> Totals:
    """Aggregate rows of type and value."""
    return aggregate(
        Amounts(type=[type_ for type_, _ in rows], value=[value for _, value in rows])
    ).message


def result_of(states: list[Totals]) -> bytes:
    """Add states in the given order and finish."""
    accumulator = TotalsByType()
    written = [accumulator.add(state) for state in states]
    return b"".join(written) + accumulator.finish()


@given(amounts)
def test_count_sum_and_average_are_exact(rows: list[Row]) -> None:
    """They equal those of unbounded integers and fractions."""
    lines = [json.loads(line) for line in result_of([state_of(rows)]).splitlines()]

    expected = []
    for key, type_ in (("click", EVENT_TYPE_CLICK), ("purchase", EVENT_TYPE_PURCHASE)):
        values = [value for row_type, value in rows if row_type == type_]
        if values:
            average = float(Fraction(sum(values), len(values)))
            expected.append(
                {"key": key, "count": len(values), "sum": sum(values), "avg": average}
            )
    assert lines == expected


@given(st.lists(amounts, max_size=5), st.randoms(use_true_random=False))
def test_states_merge_in_any_grouping_and_order(
    groups: list[list[Row]], random: Random
) -> None:
    """The result does not depend on how rows are grouped and ordered."""
    together = [row for group in groups for row in group]
    states = [state_of(group) for group in groups]
    random.shuffle(states)

    assert result_of(states) == result_of([state_of(together)])


def test_the_empty_message_is_the_zero() -> None:
    """Merging it changes nothing, and its result is empty."""
    state = state_of([(EVENT_TYPE_CLICK, 7)])

    assert result_of([Totals(), state, Totals()]) == result_of([state])
    assert result_of([Totals()]) == b""


def test_a_sum_beyond_64_bits_does_not_wrap() -> None:
    """The sum of 3,000 values of 2^53 is larger than a 64-bit integer."""
    state = state_of([(EVENT_TYPE_CLICK, 2**53)] * 3000)

    assert result_of([state] * 4) == (
        b'{"key":"click","count":12000,"sum":%d,"avg":%s}\n'
        % (12000 * 2**53, str(float(2**53)).encode())
    )


def test_lines_are_sorted_by_key_and_written_as_documented() -> None:
    """A line is a JSON object without spaces, its keys in the documented order."""
    state = state_of([(EVENT_TYPE_PURCHASE, 10), (EVENT_TYPE_CLICK, 11)])

    assert result_of([state]) == (
        b'{"key":"click","count":1,"sum":11,"avg":11.0}\n'
        b'{"key":"purchase","count":1,"sum":10,"avg":10.0}\n'
    )


@given(amounts)
def test_the_result_counts_its_records_from_the_payloads(rows: list[Row]) -> None:
    """The count is independent of what the sender reports."""
    accumulator = TotalsByType()
    accumulator.add(state_of(rows))

    assert accumulator.records == len(rows)


@pytest.mark.parametrize(
    ("number", "size"),
    [(0, 1), (127, 1), (128, 2), (-128, 1), (-129, 2), (2**63, 9), (-(2**63), 8)],
)
def test_a_sum_is_encoded_in_the_fewest_bytes(number: int, size: int) -> None:
    """The encoding is canonical, so equal states are equal bytes."""
    data = to_bytes(number)

    assert len(data) == size
    assert int.from_bytes(data, "big", signed=True) == number
