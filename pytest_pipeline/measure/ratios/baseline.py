"""The baseline file of ratios.

It is JSON with the ratios sorted, each under a name that needs no context; the records
of each run, so that later runs have as many; the machine that the ratios were measured
on; and the throughputs of that time, which nothing is compared with.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from pytest_pipeline.measure.baseline_file import (
    read_baseline,
    run_name,
    sort_naturally,
    write_baseline,
)
from pytest_pipeline.measure.machine import this_machine
from pytest_pipeline.measure.ratios.pairs import Pair
from pytest_pipeline.measure.results import Machine

_DIGITS = 4


class Ratio(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A ratio with its confidence interval.

    Raises:
        ValueError: Not 0 < low ≤ value ≤ high.
    """

    low: float
    value: float
    high: float

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.value <= self.high < math.inf:
            raise ValueError("a ratio must have 0 < low <= value <= high")

    @property
    def inverse(self) -> Ratio:
        """The reciprocal, with its interval."""
        return Ratio(1 / self.high, 1 / self.value, 1 / self.low)

    def __str__(self) -> str:
        return f"{self.value:.3g} ({self.low:.3g} to {self.high:.3g})"


class Provenance(msgspec.Struct, frozen=True):
    """The machine that ratios were measured on."""

    architecture: str
    machine: Machine

    @classmethod
    def here(cls) -> Provenance:
        """Return that of this machine."""
        return cls(platform.machine(), this_machine())

    def difference(self, other: Provenance) -> str:
        """Return why ratios of ``other`` can't be compared with these; else nothing.

        The number of cores determines how many processes run at once, and so how much
        of the split's cost is hidden. Every other difference changes ratios by less
        than the tolerance, or is one that the ratios are meant to detect.
        """
        lines = []
        if other.architecture != self.architecture:
            lines.append(f"architecture {self.architecture}, here {other.architecture}")
        if other.machine.cores != self.machine.cores:
            lines.append(f"cores {self.machine.cores}, here {other.machine.cores}")
        return "; ".join(lines)


class _RatiosContent(msgspec.Struct, forbid_unknown_fields=True):
    ratios: dict[str, Ratio]
    records: dict[str, int]
    made_on: Provenance
    records_per_s: dict[str, dict[str, float]]


@dataclass
class RatiosBaseline:
    """The content of a baseline file of ratios."""

    made_on: Provenance
    ratios: dict[str, Ratio] = field(default_factory=dict)
    #: Records of a run at each batch size, by the name of the run. A run has a fixed
    #: cost, so that ratios depend on its length.
    records: dict[str, int] = field(default_factory=dict)
    #: For each ratio, records per second of its two kinds of runs. Nothing is compared
    #: with these.
    records_per_s: dict[str, dict[str, float]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> RatiosBaseline:
        """Read the file.

        Raises:
            UsageError: It is missing, unreadable, or not one of ratios.
        """
        content = read_baseline(path, _RatiosContent)
        return cls(
            content.made_on, content.ratios, content.records, content.records_per_s
        )

    def write(self, path: Path) -> None:
        """Replace the file, atomically.

        Raises:
            UsageError: It can't be written; it is then unchanged.
        """
        content = _RatiosContent(
            {name: _short(self.ratios[name]) for name in sort_naturally(self.ratios)},
            {name: self.records[name] for name in sort_naturally(self.records)},
            self.made_on,
            {
                name: {
                    runs: _rounded(speed)
                    for runs, speed in self.records_per_s[name].items()
                }
                for name in sort_naturally(self.records_per_s)
            },
        )
        write_baseline(path, msgspec.to_builtins(content))

    def replace(
        self, name: str, ratio: Ratio, records_per_s: Mapping[str, float]
    ) -> None:
        """Set a ratio, and the throughput of its two kinds of runs."""
        self.ratios[name] = ratio
        self.records_per_s[name] = dict(records_per_s)

    def records_of(self, pair: Pair) -> dict[int, int]:
        """Return the records of a run at each batch size of a ratio, if known."""
        return {
            size: self.records[name]
            for size in pair.batch_sizes
            if (name := run_name(pair.workload, size)) in self.records
        }

    def set_records(self, pair: Pair, batch_size: int, records: int) -> None:
        """Set the records of a run at one batch size of a ratio."""
        self.records[run_name(pair.workload, batch_size)] = records

    def drop_others(self, pairs: Collection[Pair]) -> None:
        """Remove all ratios but these, and the records of runs that no ratio needs."""
        for name in self.others(pairs):
            del self.ratios[name]
            self.records_per_s.pop(name, None)
        runs = {
            run_name(pair.workload, size) for pair in pairs for size in pair.batch_sizes
        }
        self.records = {name: self.records[name] for name in runs & set(self.records)}

    def others(self, pairs: Collection[Pair]) -> list[str]:
        """Return the names of all ratios but these."""
        return sort_naturally(set(self.ratios) - {pair.name for pair in pairs})


def _short(ratio: Ratio) -> Ratio:
    return Ratio(_rounded(ratio.low), _rounded(ratio.value), _rounded(ratio.high))


def _rounded(value: float) -> float:
    """Round to as many digits as a reviewer can compare."""
    return float(f"{value:.{_DIGITS}g}")
