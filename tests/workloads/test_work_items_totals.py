"""The totals of `work-items`: a commutative monoid with an exact sum."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.v1.work_items_pb2 import Scores, ScoreTotals
from pipeline.workloads.work_items.aggregate import (
    MAX_SCORE,
    ItemScores,
    exact_total,
    merge,
    totals_of,
)

# Of any magnitude, and of magnitudes whose sums round; never -0.0.
final_scores = st.lists(
    (
        st.floats(-MAX_SCORE, MAX_SCORE)
        | st.floats(-1.0, 1.0)
        | st.sampled_from([MAX_SCORE, -MAX_SCORE, 1e16, 1.0, -1e16, 5e-324, -5e-324])
    ).map(lambda score: score + 0.0),
    max_size=8,
)


def scores_of(scores: list[float], first_record: int = 1) -> Scores:
    """Return what aggregate returns for items with these final scores."""
    records = range(first_record, first_record + len(scores))
    return Scores(
        record=records, id=records, final_score=scores, totals=totals_of(scores)
    )


def result_of(messages: list[Scores]) -> bytes:
    """Fold messages in the order given and finish."""
    accumulator = ItemScores()
    written = [accumulator.add(message) for message in messages]
    return b"".join(written) + accumulator.finish()


def encoded(totals: ScoreTotals) -> bytes:
    """Return the bytes of a state."""
    return totals.SerializeToString(deterministic=True)


@given(final_scores)
def test_count_total_and_extremes_are_exact(scores: list[float]) -> None:
    """They equal those of fractions, for doubles of any magnitude."""
    totals = totals_of(scores)

    assert totals.count == len(scores)
    assert exact_total(totals) == sum(map(Fraction, scores), Fraction())
    if scores:
        assert (totals.minimum, totals.maximum) == (min(scores), max(scores))


@given(st.lists(final_scores, max_size=5), st.randoms(use_true_random=False))
def test_merged_totals_are_equal_bytes_for_any_grouping_and_order(
    groups: list[list[float]], random: Random
) -> None:
    """The encoding is canonical."""
    together = [score for group in groups for score in group]
    states = [totals_of(group) for group in groups]
    random.shuffle(states)

    left = ScoreTotals()
    for state in states:
        left = merge(left, state)
    right = ScoreTotals()
    for state in states:
        right = merge(state, right)

    assert encoded(left) == encoded(right) == encoded(totals_of(together))


def test_the_empty_message_is_the_zero() -> None:
    """Merging it changes nothing, and its result is empty."""
    state = totals_of([0.0, 0.25])

    assert merge(state, ScoreTotals()) == merge(ScoreTotals(), state) == state
    assert totals_of([]) == ScoreTotals()
    assert result_of([Scores()]) == b""


@pytest.mark.parametrize(
    ("scores", "numerator", "scale"),
    [
        ([0.0], b"\x00", 0),
        ([0.5, -0.25], b"\x01", 2),
        ([0.5, 0.5], b"\x01", 0),
        ([0.75, 0.75, -1.5], b"\x00", 0),
        ([-256.0], b"\xff\x00", 0),
        ([5e-324], b"\x01", 1074),
    ],
)
def test_the_sum_is_in_lowest_terms(
    scores: list[float], numerator: bytes, scale: int
) -> None:
    """It has the fewest bytes over the smallest power of two."""
    totals = totals_of(scores)

    assert (totals.numerator, totals.scale) == (numerator, scale)


def test_the_total_is_rounded_once() -> None:
    """A running sum of doubles would lose the small scores."""
    scores = [1e16, 1.0, 1.0, -1e16]

    result = result_of([scores_of([score], at + 1) for at, score in enumerate(scores)])

    assert json.loads(result.splitlines()[-1])["total"] == 2.0


@given(st.lists(final_scores, min_size=1, max_size=5))
def test_the_result_does_not_depend_on_the_batches(groups: list[list[float]]) -> None:
    """It has one line an item in order, and the exact total rounded once."""
    together = [score for group in groups for score in group]
    batches, record = [], 1
    for group in groups:
        batches.append(scores_of(group, record))
        record += len(group)

    result = result_of(batches)

    assert result == result_of([scores_of(together)])
    lines = [json.loads(line) for line in result.splitlines()]
    if together:
        total = lines.pop()["total"]
        assert total == float(sum(map(Fraction, together), Fraction()))
    assert [line["score"] for line in lines] == together
    assert [line["id"] for line in lines] == list(range(1, record))


def test_the_largest_scores_have_a_total_that_is_a_double() -> None:
    """The sum of 2^63 of them neither wraps nor overflows."""
    state = totals_of([MAX_SCORE])
    for _ in range(63):
        state = merge(state, state)

    assert state.count == 2**63
    assert float(exact_total(state)) == math.ldexp(1.0, 1023)


def test_lines_are_written_as_documented() -> None:
    """A line is a JSON object without spaces, with the shortest digits of doubles."""
    assert result_of([scores_of([0.1, -2.5])]) == (
        b'{"id":1,"score":0.1}\n'
        b'{"id":2,"score":-2.5}\n'
        b'{"count":2,"total":-2.4,"min":-2.5,"max":0.1}\n'
    )


@given(final_scores)
def test_the_result_counts_its_records_from_the_payloads(scores: list[float]) -> None:
    """The count is independent of what the sender reports."""
    accumulator = ItemScores()
    accumulator.add(scores_of(scores))

    assert accumulator.records == len(scores)


@pytest.mark.parametrize("column", ["record", "id", "final_score"])
def test_columns_that_contradict_the_totals_fail_the_run(column: str) -> None:
    """The error names the column."""
    scores = scores_of([1.0, 2.0])
    del getattr(scores, column)[-1:]

    with pytest.raises(ValueError, match=column):
        ItemScores().add(scores)
