"""Batches of work items: how they may be cut, and which items are refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from pipeline.stages import Output
from pipeline.v1.work_items_pb2 import ParsedItems, ScoredItems, Scores
from pipeline.workloads.work_items.aggregate import MAX_SCORE, aggregate
from pipeline.workloads.work_items.columns import REASONS
from pipeline.workloads.work_items.parse import parse
from pipeline.workloads.work_items.rules import rules
from tests.workloads.work_items import (
    Item,
    bits,
    finite,
    items_of,
    message_of,
    ordinary,
    through_stages,
)

# Batches ---------------------------------------------------------------------------


@given(
    st.lists(items_of(ordinary | st.just(math.nan), 5), max_size=8),
    st.lists(st.integers(1, 4), min_size=8, max_size=8),
)
def test_a_batch_cut_in_any_way_gives_the_same_items(
    items: list[Item], cuts: list[int]
) -> None:
    """Rejections among them: every column is the pieces' columns put together."""
    whole = through_stages(message_of(items))
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(through_stages(message_of(items[at : at + cut], at + 1)))
        at += cut

    for output in ("parsed", "scored", "scores"):
        expected = getattr(whole, output)
        parts = [getattr(piece, output) for piece in pieces]
        assert expected.records == sum(part.records for part in parts)
        assert expected.rejections == [
            rejection for part in parts for rejection in part.rejections
        ]
        together = type(expected.message)()
        for part in parts:
            together.MergeFrom(without_totals(part.message))
        assert without_totals(expected.message) == together


def without_totals(message: Message) -> Message:
    """Return the columns of items alone."""
    copy = type(message)()
    copy.CopyFrom(message)
    if isinstance(copy, Scores):
        copy.ClearField("totals")
    return copy


def test_records_and_ids_are_those_of_the_items_kept() -> None:
    """A rejection takes nothing else away, and names the record."""
    items = [Item([1.0], [float(value)], [[1.0]], 1) for value in range(4)]
    items[1].second = [math.inf]
    items[2].matrix = [[1e308]]
    items[2].iterations = 1000

    stages = through_stages(message_of(items, first_record=5))

    assert refused(stages.parsed) == [(6, "not_finite", "second")]
    assert refused(stages.scored) == [(7, "out_of_range", "score")]
    assert list(stages.scores.message.record) == [5, 8]
    assert list(stages.scores.message.id) == [50, 80]
    assert stages.scores.records == stages.scores.message.totals.count == 2


# Rejections ------------------------------------------------------------------------


def refused(output: Output[Any]) -> list[tuple[int, str, str]]:
    """Return the rejections of a batch."""
    return [
        (rejection.record, rejection.reason, rejection.field)
        for rejection in output.rejections
    ]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["first", "second", "matrix"])
def test_what_is_not_finite_is_refused_by_its_first_field(
    field: str, value: float
) -> None:
    """The later fields may be as bad."""
    item = Item([1.0, 2.0], [3.0, 4.0], [[5.0, 6.0], [7.0, 8.0]], 1)
    fields = ["first", "second", "matrix"]
    for bad in fields[fields.index(field) :]:
        column = getattr(item, bad)
        if bad == "matrix":
            column = column[1]
        column[1] = value

    assert refused(parse(message_of([item]))) == [(1, "not_finite", field)]


def test_vectors_without_values_are_refused() -> None:
    """They have no mean."""
    output = parse(message_of([Item([], [], [], 1)]))

    assert refused(output) == [(1, "empty_vector", "")]
    assert output.records == 0
    assert output.message == ParsedItems()


@pytest.mark.parametrize("field", ["first", "second"])
def test_a_norm_beyond_a_double_is_refused(field: str) -> None:
    """The squares of the values are too large, though the values are not."""
    item = Item([1.0, 1.0], [1.0, 1.0], [[1.0, 1.0]] * 2, 1)
    setattr(item, field, [1e200, 1.0])

    assert refused(parse(message_of([item]))) == [(1, "out_of_range", field)]


def test_a_vector_too_small_for_its_norm_stays() -> None:
    """Its squares round to nothing, like those of a vector of zeros."""
    parsed = parse(message_of([Item([1e-200, -0.0], [0.0, 3.0], [[1.0] * 2] * 2, 1)]))

    assert bits(list(parsed.message.normalised)) == bits([1e-200, -0.0, 0.0, 1.0])


@pytest.mark.parametrize(
    ("matrix", "iterations", "field"),
    [
        ([[1.7e308, 0.0], [1.7e308, 0.0]], 0, "matrix_total"),
        ([[1.7e308, -1.7e308], [1.7e308, -1.7e308]], 1, "matrix_total"),
        ([[1.7e308, 0.0], [0.0, 0.0]], 2000, "score"),
    ],
)
def test_a_score_beyond_a_double_is_refused_by_the_rules(
    matrix: list[list[float]], iterations: int, field: str
) -> None:
    """By what first became too large."""
    parsed = parse(message_of([Item([1.0, 0.0], [1.0, 0.0], matrix, iterations)]))

    assert refused(rules(parsed.message)) == [(1, "out_of_range", field)]


@pytest.mark.parametrize("score", [1.7e308, -1.7e308, MAX_SCORE, -MAX_SCORE, math.nan])
def test_a_final_score_that_totals_could_not_hold_is_refused(score: float) -> None:
    """One of up to 2^960 in magnitude is not."""
    scored = ScoredItems(
        record=[1, 2],
        id=[1, 2],
        mean=[0.0] * 2,
        deviation=[0.0] * 2,
        features=[0.0] * 10,
        matrix_total=[0.0] * 2,
        score=[score, MAX_SCORE / 2],
    )

    output = aggregate(scored)

    assert refused(output) == [(1, "out_of_range", "final_score")]
    assert [abs(final) < MAX_SCORE for final in output.message.final_score] == [True]


def test_every_reason_is_documented() -> None:
    """The codes that the tests above have seen are those of REASONS."""
    assert set(REASONS) == {"empty_vector", "not_finite", "out_of_range"}


# Columns that contradict each other ------------------------------------------------


@pytest.mark.parametrize("stage", [parse, rules, aggregate])
def test_columns_that_contradict_each_other_fail_the_stage(
    stage: Callable[[Any], Output[Any]],
) -> None:
    """Whichever is short, or has a value too many, is named."""
    stages = through_stages(message_of([Item([3.0], [4.0], [[1.0]], 2)] * 2))
    message = {
        parse: message_of([Item([3.0], [4.0], [[1.0]], 2)] * 2),
        rules: stages.parsed.message,
        aggregate: stages.scored.message,
    }[stage]
    stage(message)
    for field in message.DESCRIPTOR.fields:
        short, long = type(message)(), type(message)()
        short.CopyFrom(message)
        long.CopyFrom(message)
        del getattr(short, field.name)[-1:]
        getattr(long, field.name).append(getattr(long, field.name)[0])
        for broken in (short, long):
            with pytest.raises(ValueError, match=type(message).__name__):
                stage(broken)


def test_the_rules_take_no_item_without_values() -> None:
    """Parse refuses it, so whoever sends one has not parsed."""
    parsed = ParsedItems(record=[1], id=[1], size=[0], iterations=[1], checksum=[0.0])

    with pytest.raises(ValueError, match="size"):
        rules(parsed)


@given(items_of(finite, 5))
def test_the_message_that_came_in_is_left_as_it_was(item: Item) -> None:
    """A batch may be replayed."""
    items = message_of([item])
    before = items.SerializeToString(deterministic=True)

    first, again = parse(items), parse(items)

    assert first == again
    assert items.SerializeToString(deterministic=True) == before
