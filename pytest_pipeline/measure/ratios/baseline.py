"""The file of ratios that was committed.

It is JSON with the ratios sorted, each under a name that says all of it; how many
records the runs have, so that what is held to it runs as many; what it was made on; and
the throughputs of that day, to which nothing is held.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from pytest_pipeline.measure.baseline_file import (
    by_number,
    read_committed,
    write_committed,
)
from pytest_pipeline.measure.machine import this_machine
from pytest_pipeline.measure.ratios.pairs import Pair
from pytest_pipeline.measure.results import Machine

_DIGITS = 4


class Ratio(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A ratio with its interval; raises ValueError unless 0 < low ≤ value ≤ high."""

    low: float
    value: float
    high: float

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.value <= self.high < math.inf:
            raise ValueError("a ratio must have 0 < low <= value <= high")

    @property
    def inverse(self) -> Ratio:
        """The ratio the other way about."""
        return Ratio(1 / self.high, 1 / self.value, 1 / self.low)

    def __str__(self) -> str:
        return f"{self.value:.3g} ({self.low:.3g} to {self.high:.3g})"


class Provenance(msgspec.Struct, frozen=True):
    """Where ratios were measured."""

    architecture: str
    machine: Machine

    @classmethod
    def here(cls) -> Provenance:
        """Return what this is."""
        return cls(platform.machine(), this_machine())

    def difference(self, other: Provenance) -> str:
        """Say why ratios of ``other`` can't be held to those of this; else nothing.

        How many cores there are says how many of the processes run at once, and so how
        much of the split is free. All else moves ratios less than is tolerated, or is
        what they are there to find.
        """
        said = []
        if other.architecture != self.architecture:
            said.append(f"architecture {self.architecture}, here {other.architecture}")
        if other.machine.cores != self.machine.cores:
            said.append(f"cores {self.machine.cores}, here {other.machine.cores}")
        return "; ".join(said)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    ratios: dict[str, Ratio]
    records: dict[str, int]
    made_on: Provenance
    records_per_s: dict[str, dict[str, float]]


@dataclass
class RatiosBaseline:
    """The ratios of a file, to compare with and to replace."""

    made_on: Provenance
    ratios: dict[str, Ratio] = field(default_factory=dict)
    #: Of a run at each batch size. A run costs something by itself, so that ratios of
    #: longer runs are others.
    records: dict[str, int] = field(default_factory=dict)
    #: Throughput of the runs that each ratio is of, by name: recorded, never held to.
    records_per_s: dict[str, dict[str, float]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> RatiosBaseline:
        """Read a file; raise UsageError where there is none, or it is none of ours."""
        read = read_committed(path, _File)
        return cls(read.made_on, read.ratios, read.records, read.records_per_s)

    def write(self, path: Path) -> None:
        """Replace the file, or leave it as it was; raise UsageError if it can't be."""
        content = _File(
            {name: _short(self.ratios[name]) for name in by_number(self.ratios)},
            {name: self.records[name] for name in by_number(self.records)},
            self.made_on,
            {
                name: {
                    runs: _rounded(speed)
                    for runs, speed in self.records_per_s[name].items()
                }
                for name in by_number(self.records_per_s)
            },
        )
        write_committed(path, msgspec.to_builtins(content))

    def replace(
        self, name: str, ratio: Ratio, records_per_s: Mapping[str, float]
    ) -> None:
        """Have this ratio under its name, and the throughput of the runs it is of."""
        self.ratios[name] = ratio
        self.records_per_s[name] = dict(records_per_s)

    def records_of(self, pair: Pair) -> dict[int, int]:
        """Return how many records a run has at each batch size of a ratio, if known."""
        return {
            size: self.records[name]
            for size in pair.batch_sizes
            if (name := _run(pair, size)) in self.records
        }

    def size(self, pair: Pair, batch_size: int, records: int) -> None:
        """Have runs at a batch size of a ratio with so many records."""
        self.records[_run(pair, batch_size)] = records

    def drop_others(self, pairs: Collection[Pair]) -> None:
        """Have nothing but what is of these ratios."""
        for name in self.others(pairs):
            del self.ratios[name]
            self.records_per_s.pop(name, None)
        runs = {_run(pair, size) for pair in pairs for size in pair.batch_sizes}
        self.records = {name: self.records[name] for name in runs & set(self.records)}

    def others(self, pairs: Collection[Pair]) -> list[str]:
        """Return the names of ratios that are none of these."""
        return by_number(set(self.ratios) - {pair.name for pair in pairs})


def _run(pair: Pair, batch_size: int) -> str:
    return f"{pair.workload} at batch size {batch_size}"


def _short(ratio: Ratio) -> Ratio:
    return Ratio(_rounded(ratio.low), _rounded(ratio.value), _rounded(ratio.high))


def _rounded(value: float) -> float:
    """Return as many digits as a review can read."""
    return float(f"{value:.{_DIGITS}g}")
