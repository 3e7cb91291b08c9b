"""Sweep over batch sizes: plan the runs, and take them in turns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from pipeline.batching import BatchLimits
from pipeline.engines.base import Engine, RunSettings
from pipeline.errors import ConservationError

#: With fewer batches, a run would measure mostly how the stages fill and drain.
LEAST_BATCHES = 10
#: To have that many batches, a run may take this many times the planned seconds.
MOST_TIMES = 5.0

_FIRST_RECORDS = 10
_MOST_GROWTH = 10


class Sample(NamedTuple):
    """The records and the time of one run."""

    #: Fewer than were asked for if the source has no more.
    records: int
    seconds: float


#: Runs at a batch size (first argument) a number of records (second argument).
Run = Callable[[int, int], Sample]


@dataclass(frozen=True, slots=True)
class Plan:
    """How many records to run at each batch size, and which sizes to leave out."""

    #: Records by batch size.
    records: Mapping[int, int]
    #: Sizes for which the source has too few records.
    too_few: tuple[int, ...]
    #: Records in the source; inf if no run came to their end.
    available: float
    #: Sizes at which a run would take too long.
    too_slow: tuple[int, ...]


def plan(run: Run, sizes: Iterable[int], seconds: float) -> Plan:
    """Find how many records take about ``seconds`` at each batch size.

    They are whole batches, at least `LEAST_BATCHES`. The speed and the number of
    records in the source are found by trial runs. These start small, and also warm up
    the servers.
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

    Every other round goes through the sizes backwards, so that a machine that slows
    down favours no size.

    Args:
        run: Makes one run.
        records: How many records to run, by batch size.
        rounds: How often to measure each size.
        on_run: Called before each run with the number of the round, from 1, and the
            batch size.
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


class SweepRuns:
    """Runs of one workload at any batch size, with any number of its records."""

    def __init__(
        self, engine: Engine, reference: Engine, settings: RunSettings
    ) -> None:
        """Run on ``engine`` and compare its results with those of ``reference``."""
        self._engine = engine
        self._reference = reference
        self._settings = settings
        self._expected: dict[int, bytes] = {}
        #: By batch size: mean bytes of a message, of the stage with the largest.
        self.message_bytes: dict[int, float] = {}

    def run(self, size: int, records: int) -> Sample:
        """Run that many records, or all if there are fewer, at a batch size."""
        report = self._engine.run(
            replace(
                self._settings,
                limits=BatchLimits(records=size),
                max_records=records,
            )
        )
        self.message_bytes[size] = max(
            (
                total / messages
                for stage in report.stages.values()
                for total, messages in (
                    (stage.bytes_in, stage.messages_in),
                    (stage.bytes_out, stage.messages_out),
                )
                if messages
            ),
            default=0.0,
        )
        return Sample(report.records.ingested, report.elapsed_s)

    def run_and_check(self, size: int, records: int) -> Sample:
        """Do as `run` does, and compare the result.

        Raises:
            ConservationError: It differs from that of the reference engine.
        """
        sample = self.run(size, records)
        result = self._settings.output.read_bytes()
        if result != self._result_expected(records):
            raise ConservationError(
                f"{self._engine.name} at batch size {size} gave another result than "
                f"{self._reference.name} for the same {sample.records:,} records"
            )
        return sample

    def _result_expected(self, records: int) -> bytes:
        if records not in self._expected:
            self._reference.run(replace(self._settings, max_records=records))
            self._expected[records] = self._settings.output.read_bytes()
        return self._expected[records]
