"""Build work items and pass them through the stages."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from pipeline.stages import Output
from pipeline.v1.work_items_pb2 import ParsedItems, ScoredItems, Scores, WorkItems
from pipeline.workloads.work_items.aggregate import aggregate
from pipeline.workloads.work_items.parse import parse
from pipeline.workloads.work_items.rules import rules


@dataclass
class Item:
    """The values of one item."""

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
    """The outputs of the three stages for one batch."""

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
    """Return a strategy of items of size 1 to 7; some have a vector of zeros."""

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


# Of similar magnitude, so that errors relative to the largest term are meaningful.
ordinary = st.floats(0.5, 100.0) | st.floats(-100.0, -0.5)
finite = st.floats(-1e100, 1e100)


def bits(values: list[float]) -> list[str]:
    """Return doubles as text that is equal only for equal bits."""
    return [value.hex() for value in values]
