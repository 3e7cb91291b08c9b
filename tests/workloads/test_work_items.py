"""The arithmetic of `work-items`, against two references.

The first is exact: it computes the formulas in fractions. The second follows the
contract in ``work_items.proto`` operation by operation, in doubles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.workloads.work_items.arithmetic import work, work_on_each
from pipeline.workloads.work_items.parse import parse
from tests.workloads.work_items import (
    Item,
    Stages,
    bits,
    finite,
    items_of,
    message_of,
    ordinary,
    through_stages,
)

pytestmark = pytest.mark.usefixtures("each_implementation")

# The exact reference ---------------------------------------------------------------


@dataclass
class Exact:
    """An exact result, and the sum of the magnitudes of its terms."""

    value: Fraction
    magnitude: Fraction

    def is_near(self, computed: float) -> bool:
        """Return whether ``computed`` is within 1e-12 times the magnitude."""
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
    """Return a value as an exact result."""
    return Exact(Fraction(value), abs(Fraction(value)))


def root(square: Fraction) -> Fraction:
    """Return the square root to 100 digits."""
    scale = 10**100
    return Fraction(math.isqrt(math.floor(square * scale * scale)), scale)


def exact_reference(item: Item) -> dict[str, list[Exact]]:
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
    """The error is relative to the sum of the magnitudes of the terms."""
    computed = columns_of(through_stages(message_of([item])))

    for name, expected in exact_reference(item).items():
        for value, result in zip(computed[name], expected, strict=True):
            assert result.is_near(value), (name, value, float(result.value))


@given(items_of(ordinary, 3))
def test_the_matrix_is_transposed(item: Item) -> None:
    """The rows of the parsed matrix are the columns of the item's."""
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


# The reference by the contract -----------------------------------------------------


def contract_sum(terms: list[float]) -> float:
    """Add from left to right, starting at +0.0."""
    accumulated = +0.0
    for term in terms:
        accumulated = accumulated + term
    return accumulated


def contract_work(value: float, iterations: int) -> float:
    """Add up the terms, computing the factor of each first."""
    return contract_sum([value * (i * 0.001) for i in range(1, iterations + 1)])


def contract_reference(item: Item) -> dict[str, list[float]]:
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


def assert_contract_is_followed(items: list[Item]) -> None:
    """Compare every column of every stage bit by bit."""
    stages = through_stages(message_of(items))

    assert not stages.scored.rejections
    references = [contract_reference(item) for item in items]
    for name, column in columns_of(stages).items():
        expected = [value for reference in references for value in reference[name]]
        assert bits(column) == bits(expected), name


@given(st.lists(items_of(finite | ordinary, 20), max_size=4))
def test_every_result_follows_the_contract_bit_by_bit(items: list[Item]) -> None:
    """For mixed sizes in a batch, and sums that cancel."""
    assert_contract_is_followed(items)


def test_items_with_all_digits_in_use_follow_the_contract_bit_by_bit() -> None:
    """Exchanging any two operations would change some of these bits."""

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
    """The chunks that numpy computes don't change the result."""
    for value in (0.1, -1 / 3, 12345.678, -0.0, 5e-324):
        assert work(value, iterations).hex() == contract_work(value, iterations).hex()


@pytest.mark.parametrize("lanes", [2, 3, 4, 8, 10, 16, 20, 33, 40, 1025])
@pytest.mark.parametrize("iterations", [1, 2, 9, 200, 1025])
def test_numpy_adds_each_lane_from_left_to_right(lanes: int, iterations: int) -> None:
    """A pairwise sum would have other bits."""
    values = [math.sin(lane + 1) for lane in range(lanes)]

    computed = work_on_each(values, iterations)

    sample = range(0, lanes, 100) if lanes > 100 else range(lanes)
    for lane in sample:
        expected = contract_work(values[lane], iterations)
        assert computed[lane].hex() == expected.hex()


def test_no_two_orders_of_adding_give_the_same_bits() -> None:
    """So the tests above would notice an order other than the contract's."""
    terms = [0.1 * (i * 0.001) for i in range(1, 501)]

    backwards = contract_sum(terms[::-1])

    assert len({contract_sum(terms), backwards, math.fsum(terms)}) == 3
