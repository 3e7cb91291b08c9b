"""A sweep over batch sizes: the plan, and the order of the runs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tuning.sweep import LEAST_BATCHES, MOST_TIMES, Plan, Sample, plan, sweep

SIZES = (1, 3, 10, 100, 1000)


@dataclass
class Machine:
    """A machine with fixed costs of batches and records, and a source that may end."""

    batch_s: float
    record_s: float
    has: float = math.inf
    #: Batch size, records and seconds of each run so far.
    runs: list[tuple[int, int, float]] = field(default_factory=list)

    def run(self, size: int, records: int) -> Sample:
        """Return the time that the run would take."""
        records = int(min(records, self.has))
        batches = math.ceil(records / size)
        seconds = batches * self.batch_s + records * self.record_s
        self.runs.append((size, records, seconds))
        return Sample(records, seconds)


@given(st.floats(1e-5, 1e-1), st.floats(1e-7, 1e-1))
def test_a_planned_run_has_whole_batches_and_about_the_planned_length(
    batch_s: float, record_s: float
) -> None:
    """For any costs. A size whose run would be too long is left out."""
    machine = Machine(batch_s, record_s)

    planned = plan(machine.run, SIZES, 0.3)

    assert (*planned.records, *planned.too_slow) == SIZES
    assert planned.too_few == ()
    for size, records in planned.records.items():
        batches, rest = divmod(records, size)
        seconds = machine.run(size, records).seconds
        assert rest == 0
        assert batches >= LEAST_BATCHES
        if batches > LEAST_BATCHES:
            assert 0.1 <= seconds <= 0.3 + batch_s + size * record_s
        assert seconds <= MOST_TIMES * 0.3 * 1.001
    for size in planned.too_slow:
        # The estimate comes from a part of a batch, of whose 0.15 s up to 0.1 s are the
        # cost of the batch.
        assert machine.run(size, LEAST_BATCHES * size).seconds > MOST_TIMES * 0.3 / 3


@given(st.floats(1e-5, 1e-1), st.floats(1e-7, 1e-1))
def test_planning_makes_no_long_runs(batch_s: float, record_s: float) -> None:
    """Only the first, of ten records, may be longer, if records are that slow."""
    machine = Machine(batch_s, record_s)

    plan(machine.run, SIZES, 0.3)

    _, _, first = machine.runs[0]
    longest = max(seconds for _, _, seconds in machine.runs)
    assert longest <= max(MOST_TIMES * 0.3 * 1.001, first)
    assert len(machine.runs) <= 4 * len(SIZES)


def test_sizes_that_need_more_records_than_the_source_has_are_left_out() -> None:
    """The other sizes run as many whole batches as there are."""
    machine = Machine(batch_s=1e-5, record_s=1e-6, has=1234)

    assert plan(machine.run, SIZES, 0.3) == Plan(
        records={1: 1234, 3: 1233, 10: 1230, 100: 1200},
        too_few=(1000,),
        available=1234,
        too_slow=(),
    )


@pytest.mark.parametrize("has", [1, 9])
def test_a_source_that_is_too_small_for_all_sizes_leaves_none(has: int) -> None:
    """The plan has the number of its records."""
    planned = plan(Machine(1e-5, 1e-6, has).run, SIZES, 0.3)

    assert (dict(planned.records), planned.too_few) == ({}, SIZES)
    assert planned.available == has


def test_every_other_round_goes_through_the_sizes_backwards() -> None:
    """So a machine that slows down favours no size."""
    machine = Machine(batch_s=1.0, record_s=0.5)
    announced: list[tuple[int, int]] = []

    taken = sweep(
        machine.run, {1: 10, 4: 40}, 3, lambda *about: announced.append(about)
    )

    assert [(size, records) for size, records, _ in machine.runs] == [
        (1, 10),
        (4, 40),
        (4, 40),
        (1, 10),
        (1, 10),
        (4, 40),
    ]
    assert announced == [(1, 1), (1, 4), (2, 4), (2, 1), (3, 1), (3, 4)]
    assert taken == [{1: 1.5, 4: 0.75}] * 3
