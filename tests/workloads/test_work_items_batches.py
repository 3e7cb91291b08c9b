"""Batches of work items: any cuts, rejections, and columns that don't agree."""

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

pytestmark = pytest.mark.usefixtures("each_implementation")

# Batches ---------------------------------------------------------------------------


@given(
    st.lists(items_of(ordinary | st.just(math.nan), 5), max_size=8),
    st.lists(st.integers(1, 4), min_size=8, max_size=8),
)
def test_the_outputs_do_not_depend_on_how_items_are_cut_into_batches(
    items: list[Item], cuts: list[int]
) -> None:
    """Columns and rejections are those of the smaller batches, concatenated."""
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
    """Return a copy without the totals."""
    copy = type(message)()
    copy.CopyFrom(message)
    if isinstance(copy, Scores):
        copy.ClearField("totals")
    return copy


def test_kept_items_keep_their_record_numbers_and_ids() -> None:
    """A rejection names its record and removes no other."""
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
def test_values_that_are_not_finite_are_rejected(field: str, value: float) -> None:
    """The rejection names the first such field."""
    item = Item([1.0, 2.0], [3.0, 4.0], [[5.0, 6.0], [7.0, 8.0]], 1)
    fields = ["first", "second", "matrix"]
    for bad in fields[fields.index(field) :]:
        column = getattr(item, bad)
        if bad == "matrix":
            column = column[1]
        column[1] = value

    assert refused(parse(message_of([item]))) == [(1, "not_finite", field)]


def test_empty_vectors_are_rejected() -> None:
    """An empty vector has no mean."""
    output = parse(message_of([Item([], [], [], 1)]))

    assert refused(output) == [(1, "empty_vector", "")]
    assert output.records == 0
    assert output.message == ParsedItems()


@pytest.mark.parametrize("field", ["first", "second"])
def test_a_norm_beyond_a_double_is_rejected(field: str) -> None:
    """The squares of the values overflow, though the values don't."""
    item = Item([1.0, 1.0], [1.0, 1.0], [[1.0, 1.0]] * 2, 1)
    setattr(item, field, [1e200, 1.0])

    assert refused(parse(message_of([item]))) == [(1, "out_of_range", field)]


def test_a_vector_whose_norm_underflows_stays_as_it_is() -> None:
    """Its squares round to 0, like those of a vector of zeros."""
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
def test_the_rules_reject_scores_beyond_a_double(
    matrix: list[list[float]], iterations: int, field: str
) -> None:
    """The rejection names the first value that overflowed."""
    parsed = parse(message_of([Item([1.0, 0.0], [1.0, 0.0], matrix, iterations)]))

    assert refused(rules(parsed.message)) == [(1, "out_of_range", field)]


@pytest.mark.parametrize("score", [1.7e308, -1.7e308, MAX_SCORE, -MAX_SCORE, math.nan])
def test_final_scores_over_the_limit_are_rejected(score: float) -> None:
    """The limit is a magnitude of 2^960."""
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
    """REASONS has the codes that the tests above expect."""
    assert set(REASONS) == {"empty_vector", "not_finite", "out_of_range"}


# Columns that contradict each other ------------------------------------------------


@pytest.mark.parametrize("stage", [parse, rules, aggregate])
def test_columns_that_contradict_each_other_fail_the_stage(
    stage: Callable[[Any], Output[Any]],
) -> None:
    """The error names the message, for a value too few or too many."""
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


def test_the_rules_fail_for_items_without_values() -> None:
    """Parse rejects such items, so none should arrive."""
    parsed = ParsedItems(record=[1], id=[1], size=[0], iterations=[1], checksum=[0.0])

    with pytest.raises(ValueError, match="size"):
        rules(parsed)


@given(items_of(finite, 5))
def test_parse_does_not_change_its_message(item: Item) -> None:
    """A batch can be processed again."""
    items = message_of([item])
    before = items.SerializeToString(deterministic=True)

    first, again = parse(items), parse(items)

    assert first == again
    assert items.SerializeToString(deterministic=True) == before
