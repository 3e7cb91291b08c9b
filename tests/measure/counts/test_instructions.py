"""The instructions of a call are what more calls add to a process."""

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
    InstructionCounter,
    first_messages,
    instructions_per_call,
)
from pytest_pipeline.measure.dataset import Dataset

EVENTS = workload_named("events")
COSTS = {"parse": 800, "rules": 190, "aggregate": 110}
START = 300_000


def counted(command: Sequence[str]) -> int:
    """Return the count of a machine on which each call of a stage costs the same."""
    calls = dict(word.split("=") for word in command if "=" in word)
    return START + sum(COSTS[name] * int(number) for name, number in calls.items())


def test_a_call_does_not_include_the_start_of_the_process(
    dataset: Dataset, tmp_path: Path
) -> None:
    """The cost of a call excludes the start of Python and the calls of other stages."""
    found = instructions_per_call(EVENTS, first_messages(dataset), tmp_path, counted)

    assert found == COSTS


def test_the_calls_are_made_in_a_process_of_their_own(
    dataset: Dataset, tmp_path: Path
) -> None:
    """The process calls stages with the messages that they are given in a run."""
    made: list[Sequence[str]] = []

    def run(command: Sequence[str]) -> int:
        made.append(command)
        return len(made)

    instructions_per_call(EVENTS, first_messages(dataset), tmp_path, run)

    shown = InstructionCounter("shown", (), re.compile(r"^(\d+)$", re.MULTILINE))
    code = "import sys; print(len(sys.argv), file=sys.stderr)"
    assert len(made) == 2 + len(COSTS)
    assert shown.count([sys.executable, "-c", code, *made[0][1:]]) == 8
    with pytest.raises(PipelineError, match="no instructions: nothing"):
        shown.count(made[0])


def test_a_count_is_read_from_the_output_of_its_program() -> None:
    """The count may have commas."""
    code = "import sys; print('==7== I   refs:      1,234,567', file=sys.stderr)"

    counter = replace(VALGRIND, command=(sys.executable, "-c", code))

    assert counter.count([]) == 1_234_567


def test_a_counter_that_fails_is_an_error() -> None:
    """The error has the last line of the output."""
    code = "import sys; print('no such counter', file=sys.stderr); sys.exit(1)"
    counter = InstructionCounter(
        "perf", (sys.executable, "-c", code), re.compile("(1)")
    )

    with pytest.raises(PipelineError, match=r"^perf has .* no such counter$"):
        counter.count([])
