"""What has changed since an earlier session. The comparison is not a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import geometric_mean

from pytest_pipeline.measure.results import Interval, Measured, Session
from pytest_pipeline.report.formatting import count, times
from pytest_pipeline.report.page import machine_rows
from pytest_pipeline.report.tables import Table

_NO_VERDICT = (
    "for looking, not for judging: the load of a machine varies between sessions, so "
    "times of two sessions prove nothing; the gate judges "
    "(pytest --pipeline-gate-against)"
)


@dataclass(frozen=True)
class _Pair:
    """The throughput of a benchmark, now and before."""

    name: str
    now: Interval
    before: Interval

    @property
    def ratio(self) -> float:
        return self.now.value / self.before.value

    @property
    def rounds(self) -> str:
        """Whether the rounds of now lie above, below or among those of before."""
        if self.now.low > self.before.high:
            return "▲ all above"
        return "▼ all below" if self.now.high < self.before.low else "overlap"


def changed(now: Session, before: Session) -> list[tuple[str, str]]:
    """Return a summary of the changes, and why it is not a verdict."""
    pairs = _pairs(now, before)
    if not pairs:
        return [("nothing to compare", "no benchmark has a throughput in both")]
    mean = geometric_mean([pair.ratio for pair in pairs])
    said = f"now {times(mean)} times as many records per second, in the geometric mean"
    if len(pairs) > 1:
        least, most = (of(pairs, key=lambda pair: pair.ratio) for of in (min, max))
        said += (
            f"; from {times(least.ratio)} ({least.name}) to {times(most.ratio)} "
            f"({most.name})"
        )
    return [
        (f"{len(pairs)} benchmark{'s'[: len(pairs) != 1]} of both", said),
        ("no verdict", _NO_VERDICT),
    ]


def changes_table(now: Session, before: Session) -> Table:
    """Return the throughput of each benchmark in both sessions, and its change."""
    return Table(
        "Throughput now and before",
        ("benchmark", "before/s", "now/s", "now/before", "rounds"),
        tuple(
            (
                pair.name,
                count(pair.before.value),
                count(pair.now.value),
                times(pair.ratio),
                pair.rounds,
            )
            for pair in _pairs(now, before)
        ),
        note=(
            "/s: records per second, the median round. rounds: whether all of now lie "
            f"above or below all of before. {_NO_VERDICT.capitalize()}."
        ),
        texts=1,
    )


def unlike(now: Session, before: Session) -> tuple[str, ...]:
    """Return the differences in machine and versions, one notice for each kind."""
    differing = {
        "The machines differ, and so do their times": (
            machine_rows(now.machine),
            machine_rows(before.machine),
        ),
        "The versions differ": (now.machine.versions, before.machine.versions),
    }
    notices = []
    for what, (new, old) in differing.items():
        said = [
            f"{name} {new.get(name, 'none')}, before {old.get(name, 'none')}"
            for name in {**new, **old}
            if new.get(name) != old.get(name)
        ]
        if said:
            notices.append(f"{what}: {'; '.join(said)}.")
    return tuple(notices)


def _pairs(now: Session, before: Session) -> list[_Pair]:
    then = {
        _identity(name, measured): measured.throughput
        for name, measured in before.benchmarks
    }
    return [
        _Pair(name, new, old)
        for name, measured in now.benchmarks
        if (new := measured.throughput) is not None
        and (old := then.get(_identity(name, measured))) is not None
    ]


def _identity(name: str, measured: Measured) -> tuple[object, ...]:
    """Return the identity of a benchmark: its test and what that measured."""
    return (
        name,
        measured.group,
        measured.variant,
        measured.workload,
        measured.batch_size,
        measured.transport,
        measured.iterations,
        tuple(measured.replicas.items()),
    )
