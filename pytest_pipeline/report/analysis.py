"""What results mean: the cost of the split, the batch size to use, the crossover."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Literal

from pipeline.accounting import RunReport, StageReport
from pipeline.tuning.cost import SURE, TOLERANCE, BatchCost, fit
from pipeline.workloads import BUILT_IN
from pytest_pipeline.measure.results import (
    Compared,
    Group,
    Interval,
    Measured,
    Session,
    Variant,
)
from pytest_pipeline.report.formatting import between, count, share, times

_MOST_FAILURES = 10

# Fewer rounds have too few different resamples for an interval.
_LEAST_ROUNDS = 3


#: How a stage spends its time, in the order of charts and tables.
PHASES = ("decode", "process", "encode", "send", "wait", "idle")


@dataclass
class Batching:
    """The results of one workload, by variant and batch size."""

    workload: str
    by_variant: dict[Variant, dict[int, Measured]] = field(default_factory=dict)
    #: Why the results draw no conclusion; empty if they may.
    distrust: str = ""

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

    @cached_property
    def fitted(self) -> BatchCost | None:
        """The fit of `pipeline tune` to the rounds of the split.

        None if fewer than two batch sizes, or fewer than three rounds, were measured.
        """
        split = self.by_variant.get("split", {})
        rounds = min((len(one.throughput_per_s) for one in split.values()), default=0)
        if len(split) < 2 or rounds < _LEAST_ROUNDS:
            return None
        return fit(
            [
                {size: 1 / one.throughput_per_s[at] for size, one in split.items()}
                for at in range(rounds)
            ]
        )

    @property
    def recommended(self) -> int | None:
        """The batch size to use; None if the rounds can't tell."""
        fitted = self.fitted
        if self.distrust or fitted is None or fitted.confidence < SURE:
            return None
        return fitted.recommended

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
            name = measured.workload
            batching = found.setdefault(
                name, Batching(name, distrust=distrust(session, name))
            )
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
    if batching.distrust:
        return batching.distrust
    split, target = batching.of("split").get(1), batching.by_event
    if split is None or target is None:
        return None
    if split.low <= target.high and target.low <= split.high:
        return (
            f"can't tell: record by record the split runs {between(split)} and the "
            f"monolith {between(target)}"
        )
    said = (
        f"record by record the split runs {count(split.value)}/s and the monolith "
        f"{count(target.value)}/s, {factor(target, split)} times as many"
    )
    shares = batching.by_variant["split"][1].ipc_share
    if len(shares) < 2:
        return said
    # A dict, so that two equal shares are written once.
    ends = dict.fromkeys([share(min(shares)), share(max(shares))])
    return f"{said}; {' to '.join(ends)} of the split's CPU is IPC"


def win(batching: Batching) -> str | None:
    """Return in words which batch size wins the cost back, and which one to use."""
    if batching.distrust:
        return batching.distrust
    said = [one for one in (_won_back(batching), _recommended(batching)) if one]
    return "; ".join(said) or None


def factor(one: Interval, other: Interval) -> str:
    """Return how many times as much ``one`` is, with the interval."""
    value = times(one.value / other.value)
    low, high = times(one.low / other.high), times(one.high / other.low)
    return value if low == high else f"{value} ({low} to {high})"


def _won_back(batching: Batching) -> str | None:
    target, split = batching.by_event, batching.of("split")
    if target is None or not split:
        return None
    won = batching.won_back
    if won is not None:
        return (
            f"batch size {count(won)}, where the split is {factor(split[won], target)} "
            f"times as fast as the monolith record by record"
        )
    if all(speed.high < target.low for speed in split.values()):
        return "no batch size makes the split as fast as the monolith record by record"
    return (
        "can't tell whether a batch size makes the split as fast as the monolith "
        "record by record"
    )


def _recommended(batching: Batching) -> str | None:
    fitted, split = batching.fitted, batching.of("split")
    if fitted is None:
        return None
    size = fitted.recommended
    found = (
        f"within {TOLERANCE:.0%} of the best in {fitted.confidence:.0%} of resamples"
    )
    if batching.recommended is None:
        return f"can't tell which one to use: batch size {count(size)} is {found}"
    said = f"use batch size {count(size)}, {found}"
    if size == max(split):
        said += ", the largest measured"
    same = batching.of("monolith").get(size)
    if same is None or size not in split:
        return said
    return (
        f"{said}; there the split is {factor(split[size], same)} times as fast as the "
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


def distrust(session: Session, workload: str) -> str:
    """Return why results of a workload draw no conclusion; empty if they may.

    A failed benchmark may have shown that results differ. Its name has the workload in
    brackets; one without is of all workloads.
    """
    named = {*BUILT_IN, *(one.workload for _, one in session.benchmarks)} - {""}
    of = [
        name
        for name, _ in session.failures
        if workload in (found := _workloads_in(name, named)) or not found
    ]
    if not of:
        return ""
    tests = "test" if len(of) == 1 else "tests"
    return f"no answer, because {len(of)} {tests} of it failed, such as {of[0]}"


def failed(session: Session) -> list[str]:
    """Return the tests that failed, a line each, and first how many there are."""
    if not session.failures:
        return []
    tests = "test" if len(session.failures) == 1 else "tests"
    said = [
        f"{len(session.failures)} {tests} failed. They may make what follows wrong."
    ]
    said += [f"{name}: {why}" for name, why in session.failures[:_MOST_FAILURES]]
    more = len(session.failures) - _MOST_FAILURES
    return [*said, f"… and {more} more"] if more > 0 else said


def _workloads_in(test: str, named: Iterable[str]) -> set[str]:
    parameters = test.partition("[")[2].rstrip("]")
    return {one for one in named if f"{parameters}-".startswith(f"{one}-")}
