"""The list of ratios."""

from __future__ import annotations

from pytest_pipeline.measure.ratios.pairs import pairs_of


def test_there_are_speedups_over_the_smallest_and_two_costs_for_each_size() -> None:
    """The order of the batch sizes does not matter."""
    pairs = pairs_of("events", (100, 1))

    assert {pair.name: pair.is_speedup for pair in pairs} == {
        "events: speedup of batch size 100 over 1": True,
        "events at batch size 1: split to its floor": False,
        "events at batch size 1: split to the monolith": False,
        "events at batch size 100: split to its floor": False,
        "events at batch size 100: split to the monolith": False,
    }
