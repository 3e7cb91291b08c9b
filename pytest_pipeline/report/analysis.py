"""What results mean: the cost of the split, the knee of batching, the crossover."""

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

#: The share of the highest throughput that the knee must reach.
_NEARLY_ALL = 0.9


#: How a stage spends its time, in the order of charts and tables.
PHASES = ("decode", "process", "encode", "send", "wait", "idle")


@dataclass
class Batching:
    """The results of one workload, by variant and batch size."""

    workload: str
    by_variant: dict[Variant, dict[int, Measured]] = field(default_factory=dict)

    @property
    def sizes(self) -> list[int]:
        """The batch sizes of all variants, ascending."""
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
        """The run reports of the split by batch size, ascending."""
        return {
            size: measured.run
            for size, measured in sorted(self.by_variant.get("split", {}).items())
            if measured.run is not None
        }

    @property
    def knee(self) -> int | None:
        """The least batch size at which the split has 90 % of its best throughput.

        None if fewer than two batch sizes were measured.
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
        """The throughput of the monolith, record by record."""
        return self.of("monolith").get(1)

    @property
    def won_back(self) -> int | None:
        """The least batch size at which all rounds beat the monolith by record."""
        target = self.by_event
        if target is None:
            return None
        split = self.of("split").items()
        return next((size for size, got in split if got.low > target.high), None)

    def gain(self, size: int) -> float | None:
        """Return the split's throughput over that at batch size 1."""
        split = self.of("split")
        if 1 not in split or size not in split:
            return None
        return split[size].value / split[1].value


def batchings(session: Session, group: Literal["batching", "mixed"]) -> list[Batching]:
    """Return the workloads of a group, in the order in which they were measured."""
    found: dict[str, Batching] = {}
    for measured in of_group(session, group):
        if measured.variant is not None:
            batching = found.setdefault(measured.workload, Batching(measured.workload))
            of = batching.by_variant.setdefault(measured.variant, {})
            of[measured.batch_size] = measured
    return list(found.values())


def of_group(session: Session, group: Group) -> list[Measured]:
    """Return the results of a group."""
    return [measured for _, measured in session.benchmarks if measured.group == group]


def with_speed(measured: Iterable[Measured]) -> list[Measured]:
    """Return the results that have a throughput."""
    return [one for one in measured if one.throughput is not None]


def speed_of(measured: Measured) -> float:
    """Return the median throughput in records per second; 0 without rounds."""
    throughput = measured.throughput
    return throughput.value if throughput else 0.0


def kind(measured: Measured) -> tuple[str, int, int]:
    """Return the key that comparable benchmarks share; it sorts them."""
    return measured.workload, measured.iterations or 0, measured.batch_size


def by_kind(measured: Iterable[Measured]) -> list[list[Measured]]:
    """Return the results that have a throughput, one list per kind, sorted by kind."""
    found: dict[tuple[str, int, int], list[Measured]] = {}
    for one in with_speed(measured):
        found.setdefault(kind(one), []).append(one)
    return [of for _, of in sorted(found.items())]


def server_count(measured: Measured) -> int:
    """Return how many servers the replicated stages have."""
    return sum(measured.replicas.values())


def servers(measured: Measured) -> str:
    """Return the replicated stages with their servers, such as ``parse=2``."""
    said = [f"{name}={number}" for name, number in measured.replicas.items()]
    return ", ".join(said) or "one each"


@dataclass(frozen=True)
class Work:
    """What batching gains at one amount of work per record."""

    iterations: int
    compared: Compared
    #: Processing CPU as a share of all CPU, at batch size 1; None if not accounted.
    processing: float | None


def works(session: Session) -> list[Work]:
    """Return the points of the crossover, by ascending work per record."""
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
    """Return the iterations per record at which processing takes half of all CPU.

    The value is interpolated between two points, on a log axis. It is None if
    processing never takes half, or does from the first point on.
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
    """Return all comparisons but those of the crossover, each with its test."""
    return [
        (name, compared)
        for name, measured in session.benchmarks
        if measured.group != "crossover"
        for compared in measured.comparisons
    ]


def cost(batching: Batching) -> str | None:
    """Return in words what the split costs at batch size 1."""
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
    """Return in words which batch size wins the cost back, and where the knee is."""
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
    """Return the share of each phase in the wall-clock time of a stage.

    ``wait`` is for input while the stream is open; ``idle`` is the rest of the run,
    before the stream opens and after it ends. The shares add up to 1.
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
    # The two are of different clocks, so the phases may exceed the run.
    whole = max(run.elapsed_s * stage.replicas, served) or 1.0
    found = {phase: value / whole for phase, value in spent.items()}
    return {**found, "idle": 1 - served / whole}


def busy(run: RunReport, stage: StageReport) -> float:
    """Return the share of its time in which a stage neither waited nor idled."""
    found = phase_shares(run, stage)
    return 1 - found["wait"] - found["idle"]
