"""A sweep over batch sizes: how many records, in which order."""

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
    """Runs that take what batches and records cost, of a source that may end."""

    batch_s: float
    record_s: float
    has: float = math.inf
    #: Batch size, records and seconds of each run so far.
    runs: list[tuple[int, int, float]] = field(default_factory=list)

    def run(self, size: int, records: int) -> Sample:
        """Run, on no clock."""
        records = int(min(records, self.has))
        batches = math.ceil(records / size)
        seconds = batches * self.batch_s + records * self.record_s
        self.runs.append((size, records, seconds))
        return Sample(records, seconds)


@given(st.floats(1e-5, 1e-1), st.floats(1e-7, 1e-1))
def test_a_run_has_whole_batches_and_takes_about_the_time_it_should(
    batch_s: float, record_s: float
) -> None:
    """Whatever a batch and a record cost; or it is left out as too slow."""
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
        # Guessed from a part of a batch that costs 0.1 s of 0.15 s whatever is in it.
        assert machine.run(size, LEAST_BATCHES * size).seconds > MOST_TIMES * 0.3 / 3


@given(st.floats(1e-5, 1e-1), st.floats(1e-7, 1e-1))
def test_finding_out_takes_no_run_that_is_long(batch_s: float, record_s: float) -> None:
    """However slow a record is, unless ten of them take as long already."""
    machine = Machine(batch_s, record_s)

    plan(machine.run, SIZES, 0.3)

    _, _, first = machine.runs[0]
    longest = max(seconds for _, _, seconds in machine.runs)
    assert longest <= max(MOST_TIMES * 0.3 * 1.001, first)
    assert len(machine.runs) <= 4 * len(SIZES)


def test_sizes_that_need_more_records_than_there_are_are_left_out() -> None:
    """The number of records is found by the way; a run uses as many as are whole."""
    machine = Machine(batch_s=1e-5, record_s=1e-6, has=1234)

    assert plan(machine.run, SIZES, 0.3) == Plan(
        records={1: 1234, 3: 1233, 10: 1230, 100: 1200},
        too_few=(1000,),
        available=1234,
        too_slow=(),
    )


@pytest.mark.parametrize("has", [1, 9])
def test_a_source_too_small_for_any_size_leaves_none(has: int) -> None:
    """It says how many records there are."""
    planned = plan(Machine(1e-5, 1e-6, has).run, SIZES, 0.3)

    assert (dict(planned.records), planned.too_few) == ({}, SIZES)
    assert planned.available == has


def test_sizes_are_taken_in_turns_and_every_other_round_backwards() -> None:
    """So that a machine that becomes slower favours none of them."""
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
