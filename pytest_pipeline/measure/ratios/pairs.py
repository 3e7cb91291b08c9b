"""List the ratios that are compared with the baseline file.

Each is of a pair of runs: the split, and what it is measured against.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_pipeline.measure.baseline_file import run_name

#: What the split at a batch size is measured against: itself at the smallest batch
#: size, its floor, or the monolith.
Against = Literal["smallest", "floor", "monolith"]


@dataclass(frozen=True)
class Pair:
    """The split of a workload at a batch size, and what it is measured against."""

    workload: str
    batch_size: int
    against: Against
    #: The smallest of the batch sizes that are measured.
    smallest: int

    @property
    def name(self) -> str:
        """The name of the ratio, in the file and in verdicts."""
        if self.is_speedup:
            return (
                f"{self.workload}: speedup of batch size {self.batch_size} over "
                f"{self.smallest}"
            )
        to = "its floor" if self.against == "floor" else "the monolith"
        return f"{run_name(self.workload, self.batch_size)}: split to {to}"

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """The batch sizes at which the split runs for this ratio."""
        return (
            (self.smallest, self.batch_size) if self.is_speedup else (self.batch_size,)
        )

    @property
    def is_speedup(self) -> bool:
        """Whether a ratio that falls is worse; all others are costs, as times."""
        return self.against == "smallest"


def pairs_of(workload: str, batch_sizes: Sequence[int]) -> list[Pair]:
    """Return the ratios of a workload: speedups first, then costs by batch size."""
    sizes, smallest = sorted(batch_sizes), min(batch_sizes)
    costs: tuple[Against, ...] = ("floor", "monolith")
    return [
        *(Pair(workload, size, "smallest", smallest) for size in sizes[1:]),
        *(Pair(workload, size, to, smallest) for size in sizes for to in costs),
    ]
