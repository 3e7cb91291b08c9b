"""Instructions of a call are those that more calls add."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.workloads import workload_named
from pytest_pipeline.measure.counts.instructions import (
    VALGRIND,
    Counter,
    first_messages,
    instructions_of,
)
from pytest_pipeline.measure.dataset import Dataset

EVENTS = workload_named("events")
COSTS = {"parse": 800, "rules": 190, "aggregate": 110}
START = 300_000


def counted(command: Sequence[str]) -> int:
    """Count as a machine would on which each call costs the same."""
    calls = dict(word.split("=") for word in command if "=" in word)
    return START + sum(COSTS[name] * int(number) for name, number in calls.items())


def test_what_starting_costs_is_in_no_call(dataset: Dataset, tmp_path: Path) -> None:
    """Nor what the calls of other stages cost."""
    found = instructions_of(EVENTS, first_messages(dataset), tmp_path, counted)

    assert found == COSTS


def test_the_calls_are_made_in_a_process_of_their_own(
    dataset: Dataset, tmp_path: Path
) -> None:
    """Of the messages that the stages are given in a run."""
    made: list[Sequence[str]] = []

    def run(command: Sequence[str]) -> int:
        made.append(command)
        return len(made)

    instructions_of(EVENTS, first_messages(dataset), tmp_path, run)

    shown = Counter("shown", (), re.compile(r"^(\d+)$", re.MULTILINE))
    says = "import sys; print(len(sys.argv), file=sys.stderr)"
    assert len(made) == 2 + len(COSTS)
    assert shown.count([sys.executable, "-c", says, *made[0][1:]]) == 8
    with pytest.raises(PipelineError, match="no instructions: nothing"):
        shown.count(made[0])


def test_a_counter_is_read_from_what_it_says_at_its_end() -> None:
    """With commas or without."""
    says = "import sys; print('==7== I   refs:      1,234,567', file=sys.stderr)"

    counter = replace(VALGRIND, command=(sys.executable, "-c", says))

    assert counter.count([]) == 1_234_567


def test_a_counter_that_fails_is_told() -> None:
    """With the last that it said."""
    says = "import sys; print('no such counter', file=sys.stderr); sys.exit(1)"
    counter = Counter("perf", (sys.executable, "-c", says), re.compile("(1)"))

    with pytest.raises(PipelineError, match=r"^perf has .* no such counter$"):
        counter.count([])
