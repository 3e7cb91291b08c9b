"""Runs at several batch sizes, in turns, so that they can be compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

#: Fewer batches would hardly fill the stages, and what was measured would be that.
LEAST_BATCHES = 10
#: How many times the time that a run should take it may take, to have as many.
MOST_TIMES = 5.0

_FIRST_RECORDS = 10
_MOST_GROWTH = 10


class Sample(NamedTuple):
    """What came of one run."""

    #: Fewer than were asked for, where the source has no more.
    records: int
    seconds: float


#: Runs at a batch size so many records.
Run = Callable[[int, int], Sample]


@dataclass(frozen=True, slots=True)
class Plan:
    """How many records to run at each batch size; and which sizes to leave out."""

    records: Mapping[int, int]
    #: Sizes for which the source has too few records; it has ``available``.
    too_few: tuple[int, ...]
    available: float
    #: Sizes at which a run would take too long.
    too_slow: tuple[int, ...]


def plan(run: Run, sizes: Iterable[int], seconds: float) -> Plan:
    """Find how many records of each size take about so many seconds.

    They are whole batches, `LEAST_BATCHES` or more. All that is known of the source and
    of the speed is what runs tell, which start small and also warm everything up.
    """
    records: dict[int, int] = {}
    too_few: list[int] = []
    too_slow: list[int] = []
    available = math.inf
    asked = _FIRST_RECORDS
    for size in sorted(sizes):
        needed = LEAST_BATCHES * size
        if needed <= available:
            sample = run(size, asked)
            while sample.records == asked < available and sample.seconds < seconds / 2:
                growth = min(_MOST_GROWTH, seconds / sample.seconds)
                asked = math.ceil(min(asked * growth, available))
                sample = run(size, asked)
            if sample.records < asked:
                available = asked = sample.records
        if needed > available:
            too_few.append(size)
            continue
        record_s = sample.seconds / sample.records
        wanted = min(max(needed, math.ceil(seconds / record_s)), available)
        if needed * record_s > MOST_TIMES * seconds:
            too_slow.append(size)
            continue
        records[size] = int(wanted) // size * size
        asked = records[size]
    return Plan(records, tuple(too_few), available, tuple(too_slow))


def sweep(
    run: Run,
    records: Mapping[int, int],
    rounds: int,
    on_run: Callable[[int, int], None] = lambda *_: None,
) -> list[dict[int, float]]:
    """Return the seconds per record of each round by batch size.

    ``records`` says how many to run at each size. Every other round goes through the
    sizes backwards, so that a machine that becomes slower favours none. ``on_run`` is
    called before each run with the number of the round, from 1, and the batch size.
    """
    taken = []
    for number in range(1, rounds + 1):
        order = sorted(records, reverse=number % 2 == 0)
        seconds = {}
        for size in order:
            on_run(number, size)
            sample = run(size, records[size])
            seconds[size] = sample.seconds / sample.records
        taken.append({size: seconds[size] for size in sorted(records)})
    return taken
