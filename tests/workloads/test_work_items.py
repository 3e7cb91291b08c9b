"""The stage functions of the work-items workload, against two other readings of them.

One is exact: fractions of the formulas, with no regard for how doubles are rounded.
The other follows the contract in ``work_items.proto`` operation by operation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from pipeline.stage import Output
from pipeline.v1.work_items_pb2 import ParsedItems, ScoredItems, Scores, WorkItems
from pipeline.workloads.work_items.aggregate import MAX_SCORE, aggregate
from pipeline.workloads.work_items.arithmetic import work, work_on_each
from pipeline.workloads.work_items.columns import REASONS
from pipeline.workloads.work_items.parse import parse
from pipeline.workloads.work_items.rules import rules


@dataclass
class Item:
    """One item, as its maker sees it."""

    first: list[float]
    second: list[float]
    matrix: list[list[float]]
    iterations: int


def message_of(items: list[Item], first_record: int = 1) -> WorkItems:
    """Put items into columns, with ids of ten times their record number."""
    records = range(first_record, first_record + len(items))
    return WorkItems(
        record=records,
        id=[10 * record for record in records],
        size=[len(item.first) for item in items],
        first=[value for item in items for value in item.first],
        second=[value for item in items for value in item.second],
        matrix=[value for item in items for row in item.matrix for value in row],
        text=["any"] * len(items),
        iterations=[item.iterations for item in items],
    )


@dataclass
class Stages:
    """What the three stages make of a batch."""

    parsed: Output[ParsedItems]
    scored: Output[ScoredItems]
    scores: Output[Scores]


def through_stages(items: WorkItems) -> Stages:
    """Pass a batch through the stage functions."""
    parsed = parse(items)
    scored = rules(parsed.message)
    return Stages(parsed, scored, aggregate(scored.message))


def items_of(
    values: st.SearchStrategy[float], most_iterations: int
) -> st.SearchStrategy[Item]:
    """Items of size 1 to 7; one vector in some is all zeros."""

    def item(size: int) -> st.SearchStrategy[Item]:
        vector = st.lists(values, min_size=size, max_size=size)
        zeros = st.sampled_from([[0.0] * size, [-0.0] * size])
        return st.builds(
            Item,
            first=vector | zeros,
            second=vector,
            matrix=st.lists(vector, min_size=size, max_size=size),
            iterations=st.integers(0, most_iterations),
        )

    return st.integers(1, 7).flatmap(item)


# Of like magnitude, so that an error relative to the largest term means something.
ordinary = st.floats(0.5, 100.0) | st.floats(-100.0, -0.5)
finite = st.floats(-1e100, 1e100)


# The exact reading -----------------------------------------------------------------


@dataclass
class Exact:
    """An exact result, and the sum of the magnitudes that it was added up from."""

    value: Fraction
    magnitude: Fraction

    def is_near(self, computed: float) -> bool:
        """Say whether ``computed`` is within 1e-12 of what was added up."""
        return abs(Fraction(computed) - self.value) <= self.magnitude / 10**12


def total(terms: list[Exact]) -> Exact:
    """Add up exactly."""
    return Exact(
        sum((term.value for term in terms), Fraction()),
        sum((term.magnitude for term in terms), Fraction()),
    )


def scaled(term: Exact, factor: Fraction) -> Exact:
    """Multiply by a positive number."""
    return Exact(term.value * factor, term.magnitude * factor)


def iterated(term: Exact, iterations: int) -> Exact:
    """Multiply by the sum over i of i · 0.001."""
    return scaled(term, Fraction(iterations * (iterations + 1), 2000))


def exact(value: float | Fraction) -> Exact:
    """Take a value as it is."""
    return Exact(Fraction(value), abs(Fraction(value)))


def root(square: Fraction) -> Fraction:
    """Return the square root to 100 digits."""
    scale = 10**100
    return Fraction(math.isqrt(math.floor(square * scale * scale)), scale)


def exact_reading(item: Item) -> dict[str, list[Exact]]:
    """Compute an item by the formulas of the specification."""
    values: list[Fraction] = []
    for vector in (item.first, item.second):
        norm = root(sum((Fraction(value) ** 2 for value in vector), Fraction()))
        values += [Fraction(value) / (norm or 1) for value in vector]
    checksum = iterated(total([exact(value) for value in values]), item.iterations)
    mean = scaled(total([exact(value) for value in values]), Fraction(1, len(values)))
    squares = [(value - mean.value) ** 2 for value in values]
    deviation = root(sum(squares, Fraction()) / len(values))
    features = [exact(value) for value in values[:5]]
    matrix_total = total([exact(value) for row in item.matrix for value in row])
    score = iterated(total([checksum, matrix_total, mean]), item.iterations)
    neighbours = [
        exact(abs(one.value * other.value)) for one, other in pairwise(features)
    ]
    return {
        "normalised": [exact(value) for value in values],
        "checksum": [checksum],
        "mean": [mean],
        "deviation": [Exact(deviation, Fraction(1))],
        "features": features + [exact(0.0)] * (5 - len(features)),
        "matrix_total": [matrix_total],
        "score": [score],
        "final_score": [
            total(
                [
                    iterated(total([score, *features]), 50),
                    scaled(total(neighbours), Fraction(1, 10)),
                ]
            )
        ],
    }


@given(items_of(ordinary, 40))
def test_every_result_is_the_exact_one_to_twelve_digits(item: Item) -> None:
    """Relative to the sum of the magnitudes of what it was added up from."""
    computed = columns_of(through_stages(message_of([item])))

    for name, expected in exact_reading(item).items():
        for value, result in zip(computed[name], expected, strict=True):
            assert result.is_near(value), (name, value, float(result.value))


@given(items_of(ordinary, 3))
def test_the_matrix_is_transposed(item: Item) -> None:
    """Row by row, the columns of the matrix as it was made."""
    parsed = parse(message_of([item])).message

    assert list(parsed.matrix) == [
        value for column in zip(*item.matrix, strict=True) for value in column
    ]


def columns_of(stages: Stages) -> dict[str, list[float]]:
    """Return the columns of doubles of all stages."""
    return {
        name: list(getattr(message, name))
        for message, names in (
            (stages.parsed.message, ("normalised", "checksum")),
            (
                stages.scored.message,
                ("mean", "deviation", "features", "matrix_total", "score"),
            ),
            (stages.scores.message, ("final_score",)),
        )
        for name in names
    }


# The reading by the contract -------------------------------------------------------


def contract_sum(terms: list[float]) -> float:
    """Start at +0.0 and go from left to right."""
    accumulated = +0.0
    for term in terms:
        accumulated = accumulated + term
    return accumulated


def contract_work(value: float, iterations: int) -> float:
    """Compute every term, the factor first."""
    return contract_sum([value * (i * 0.001) for i in range(1, iterations + 1)])


def contract_reading(item: Item) -> dict[str, list[float]]:
    """Compute an item operation by operation."""
    values = []
    for vector in (item.first, item.second):
        norm = math.sqrt(contract_sum([value * value for value in vector]))
        values += [value / norm if norm > 0 else value for value in vector]
    lanes = [contract_work(value, item.iterations) for value in values]
    checksum = contract_sum(lanes)
    mean = contract_sum(values) / len(values)
    squares = [(value - mean) * (value - mean) for value in values]
    features = (values + [0.0] * 5)[:5]
    matrix_total = contract_sum(
        [row[k] for k in range(len(item.matrix)) for row in item.matrix]
    )
    score = contract_work((checksum + matrix_total) + mean, item.iterations)
    neighbours = contract_sum([abs(features[k] * features[k + 1]) for k in range(4)])
    worked = contract_work(score + contract_sum(features), 50)
    return {
        "normalised": values,
        "checksum": [checksum],
        "mean": [mean],
        "deviation": [math.sqrt(contract_sum(squares) / len(values))],
        "features": features,
        "matrix_total": [matrix_total],
        "score": [score],
        "final_score": [worked + 0.1 * neighbours],
    }


def bits(values: list[float]) -> list[str]:
    """Write doubles so that two are equal only bit by bit."""
    return [value.hex() for value in values]


def assert_contract_is_followed(items: list[Item]) -> None:
    """Compare every column of every stage bit by bit."""
    stages = through_stages(message_of(items))

    assert not stages.scored.rejections
    readings = [contract_reading(item) for item in items]
    for name, column in columns_of(stages).items():
        expected = [value for reading in readings for value in reading[name]]
        assert bits(column) == bits(expected), name


@given(st.lists(items_of(finite | ordinary, 20), max_size=4))
def test_every_result_follows_the_contract_bit_by_bit(items: list[Item]) -> None:
    """Whatever the sizes in a batch, and however much the sums cancel."""
    assert_contract_is_followed(items)


def test_items_with_all_digits_in_use_follow_the_contract_bit_by_bit() -> None:
    """No operation can change places with another without changing some of these."""

    def vector(start: int, size: int) -> list[float]:
        return [math.sin(start + k) for k in range(size)]

    assert_contract_is_followed(
        [
            Item(
                vector(number, size),
                vector(2 * number, size),
                [vector(number * row, size) for row in range(size)],
                iterations=number % 3,
            )
            for number in range(1, 200)
            for size in (1, 2, 3, 6)
        ]
    )


# Around the terms that are computed at once, and far beyond.
ITERATIONS = [0, 1, 2, 7, 8, 9, 127, 128, 129, 500, 1023, 1024, 1025, 2049, 5000]


@pytest.mark.parametrize("iterations", ITERATIONS)
def test_iterated_work_follows_the_contract_at_any_length(iterations: int) -> None:
    """No matter into what chunks numpy is given it."""
    for value in (0.1, -1 / 3, 12345.678, -0.0, 5e-324):
        assert work(value, iterations).hex() == contract_work(value, iterations).hex()


@pytest.mark.parametrize("lanes", [2, 3, 4, 8, 10, 16, 20, 33, 40, 1025])
@pytest.mark.parametrize("iterations", [1, 2, 9, 200, 1025])
def test_lanes_are_each_added_up_by_themselves(lanes: int, iterations: int) -> None:
    """And row by row, as no pairwise sum would be."""
    values = [math.sin(lane + 1) for lane in range(lanes)]

    computed = work_on_each(values, iterations)

    sample = range(0, lanes, 100) if lanes > 100 else range(lanes)
    for lane in sample:
        expected = contract_work(values[lane], iterations)
        assert computed[lane].hex() == expected.hex()


def test_no_two_orders_of_adding_give_the_same_bits() -> None:
    """So the tests above would see another order than that of the contract."""
    terms = [0.1 * (i * 0.001) for i in range(1, 501)]

    backwards = contract_sum(terms[::-1])

    assert len({contract_sum(terms), backwards, math.fsum(terms)}) == 3


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
