"""What a session says: the cost of the split, the batch size that wins it back."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from pipeline.accounting import RunReport, StageReport
from pytest_pipeline.measure.results import (
    Compared,
    Group,
    Interval,
    Measured,
    Session,
    Variant,
)
from pytest_pipeline.report.formatting import count, share, times

#: What of the highest throughput the knee must reach.
_NEARLY_ALL = 0.9


#: What a stage spends its time on; the order is that of charts and tables.
PHASES = ("decode", "process", "encode", "send", "wait", "idle")


@dataclass
class Batching:
    """One workload at several batch sizes, by variant."""

    workload: str
    by_variant: dict[Variant, dict[int, Measured]] = field(default_factory=dict)

    @property
    def sizes(self) -> list[int]:
        """The batch sizes of any variant, ascending."""
        return sorted({size for of in self.by_variant.values() for size in of})

    def of(self, variant: Variant) -> dict[int, Interval]:
        """Return the throughput of a variant by batch size, ascending."""
        found = {}
        for size, measured in sorted(self.by_variant.get(variant, {}).items()):
            throughput = measured.throughput
            if throughput is not None:
                found[size] = throughput
        return found

    @property
    def split_runs(self) -> dict[int, RunReport]:
        """The accounts of the split by batch size, ascending."""
        return {
            size: measured.run
            for size, measured in sorted(self.by_variant.get("split", {}).items())
            if measured.run is not None
        }

    @property
    def knee(self) -> int | None:
        """The least batch size at which the split is nearly as fast as it ever is.

        None where only one was measured.
        """
        split = self.of("split")
        if len(split) < 2:
            return None
        best = max(interval.value for interval in split.values())
        return next(
            size
            for size, interval in split.items()
            if interval.value >= _NEARLY_ALL * best
        )

    @property
    def by_event(self) -> Interval | None:
        """The monolith, record by record."""
        return self.of("monolith").get(1)

    @property
    def won_back(self) -> int | None:
        """The least batch size whose every round beat the monolith record by record."""
        target = self.by_event
        if target is None:
            return None
        split = self.of("split").items()
        return next((size for size, got in split if got.low > target.high), None)

    def gain(self, size: int) -> float | None:
        """Return how many times as fast as at batch size 1 the split is."""
        split = self.of("split")
        if 1 not in split or size not in split:
            return None
        return split[size].value / split[1].value


def batchings(session: Session, group: Literal["batching", "mixed"]) -> list[Batching]:
    """Return each workload of a group."""
    found: dict[str, Batching] = {}
    for measured in of_group(session, group):
        if measured.variant is not None:
            batching = found.setdefault(measured.workload, Batching(measured.workload))
            of = batching.by_variant.setdefault(measured.variant, {})
            of[measured.batch_size] = measured
    return list(found.values())


def of_group(session: Session, group: Group) -> list[Measured]:
    """Return what was measured in a group."""
    return [measured for _, measured in session.benchmarks if measured.group == group]


def with_speed(measured: Iterable[Measured]) -> list[Measured]:
    """Return those whose throughput was measured."""
    return [one for one in measured if one.throughput is not None]


def speed_of(measured: Measured) -> float:
    """Return the records per second of the median round; 0 without rounds."""
    throughput = measured.throughput
    return throughput.value if throughput else 0.0


def kind(measured: Measured) -> tuple[str, int, int]:
    """Return what two benchmarks must share to be compared, as a key that sorts."""
    return measured.workload, measured.iterations or 0, measured.batch_size


def by_kind(measured: Iterable[Measured]) -> list[list[Measured]]:
    """Return those with a throughput, one list for each kind, in their order."""
    found: dict[tuple[str, int, int], list[Measured]] = {}
    for one in with_speed(measured):
        found.setdefault(kind(one), []).append(one)
    return [of for _, of in sorted(found.items())]


def server_count(measured: Measured) -> int:
    """Return the servers of the stages that have more than one."""
    return sum(measured.replicas.values())


def servers(measured: Measured) -> str:
    """Return the stages that have more than one server."""
    said = [f"{name}={number}" for name, number in measured.replicas.items()]
    return ", ".join(said) or "one each"


@dataclass(frozen=True)
class Work:
    """What batching gains where a record is so much work."""

    iterations: int
    compared: Compared
    #: Processing CPU as a share of all CPU, at batch size 1; None if not accounted.
    processing: float | None


def works(session: Session) -> list[Work]:
    """Return the points of the crossover, by ascending work."""
    found = [
        Work(
            measured.iterations,
            measured.comparisons[0],
            1 - measured.run.ipc_share if measured.run else None,
        )
        for measured in of_group(session, "crossover")
        if measured.iterations is not None and measured.comparisons
    ]
    return sorted(found, key=lambda work: work.iterations)


def crossover(points: Iterable[Work]) -> float | None:
    """Return the iterations at which processing takes half of the CPU.

    Between two points it is where a line over the logarithm of the work passes; None
    where it never does, or does from the first.
    """
    known = [
        (work.iterations, work.processing)
        for work in points
        if work.processing is not None
    ]
    for (less, below), (more, above) in pairwise(known):
        if below < 0.5 <= above and less > 0:
            along = (0.5 - below) / (above - below)
            return math.exp(math.log(less) + along * math.log(more / less))
    return None


def comparisons(session: Session) -> list[tuple[str, Compared]]:
    """Return the comparisons of all groups but the crossover, with their tests."""
    return [
        (name, compared)
        for name, measured in session.benchmarks
        if measured.group != "crossover"
        for compared in measured.comparisons
    ]


def cost(batching: Batching) -> str | None:
    """Say what the split cost at batch size 1."""
    split, target = batching.of("split").get(1), batching.by_event
    if split is None or target is None:
        return None
    said = (
        f"record by record the split runs {count(split.value)}/s and the monolith "
        f"{count(target.value)}/s, {times(target.value / split.value)} times as many"
    )
    run = batching.split_runs.get(1)
    return f"{said}; {share(run.ipc_share)} of the split's CPU is IPC" if run else said


def win(batching: Batching) -> str | None:
    """Say which batch size wins it back, and where more gains no more."""
    said = [one for one in (_won_back(batching), _knee(batching)) if one]
    return "; ".join(said) or None


def _won_back(batching: Batching) -> str | None:
    target, split = batching.by_event, batching.of("split")
    if target is None or not split:
        return None
    won = batching.won_back
    if won is None:
        return "no batch size makes the split as fast as the monolith record by record"
    factor = times(split[won].value / target.value)
    return (
        f"batch size {count(won)}, where the split is {factor} times as fast as the "
        f"monolith record by record"
    )


def _knee(batching: Batching) -> str | None:
    knee, split = batching.knee, batching.of("split")
    if knee is None:
        return None
    speed = split[knee].value
    best = max(interval.value for interval in split.values())
    if knee == max(split):
        more = "the largest measured"
    elif best > speed:
        more = f"larger ones gain at most {share(best / speed - 1)} more"
    else:
        more = "none is faster"
    said = f"the knee is batch size {count(knee)} ({count(speed)}/s), {more}"
    same = batching.of("monolith").get(knee)
    if same is None:
        return said
    return (
        f"{said}, and there the split runs at {share(speed / same.value)} of the "
        f"monolith with the same batches"
    )


def phase_shares(run: RunReport, stage: StageReport) -> dict[str, float]:
    """Return each phase's share of the time that the stage's servers had in a run.

    ``wait`` is for input while the stream is open; ``idle`` is what is left of the
    run, before the stream opens and after it ends. They add up to 1.
    """
    seconds = stage.seconds
    spent = {
        "decode": seconds.decode,
        "process": seconds.process,
        "encode": seconds.encode,
        "send": seconds.send,
        "wait": seconds.wait,
    }
    served = sum(spent.values())
    # Laps are cut by the stage's clock, the run by the orchestrator's.
    whole = max(run.elapsed_s * stage.replicas, served) or 1.0
    found = {phase: value / whole for phase, value in spent.items()}
    return {**found, "idle": 1 - served / whole}


def busy(run: RunReport, stage: StageReport) -> float:
    """Return the share of its time in which a stage neither waited nor was idle."""
    found = phase_shares(run, stage)
    return 1 - found["wait"] - found["idle"]
