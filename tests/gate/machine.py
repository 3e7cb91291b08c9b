"""A simulated machine with two sides of a gate, and its own clock."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pytest_pipeline.gate.errors import GateFaultError
from pytest_pipeline.gate.measuring import Measurement, ProcessPair
from pytest_pipeline.gate.side_session import Side
from pytest_pipeline.measure.estimation import LOOKS


@dataclass
class Benchmark:
    """A benchmark of one side: the time of a call, or why it does not run."""

    seconds: float = 0.01
    threshold: float | None = None
    #: Factors of the time, one per process pair, repeated.
    by_pair: tuple[float, ...] = (1.0,)
    skipped: str = ""
    problem: str = ""


class FakeSession:
    """One side. Calls advance the clock of the machine."""

    def __init__(
        self, name: str, benchmarks: Mapping[str, Benchmark], machine: Machine
    ) -> None:
        self.side = Side(name, Path(), Path(), {})
        self._benchmarks = benchmarks
        self._machine = machine
        self._running = ""

    def collected(self) -> dict[str, float | None]:
        """Return all benchmarks."""
        return {name: found.threshold for name, found in self._benchmarks.items()}

    def begin(self, name: str, following: str | None) -> None:
        """Start a benchmark; only one may run at a time."""
        assert not self._running
        assert following is None or following in self._benchmarks
        self._running = name
        self._machine.begun.append((self.side.name, name, following))

    def is_ready(self, name: str) -> str:
        """Fail or skip as the benchmark says."""
        if self._benchmarks[name].problem:
            raise GateFaultError(f"{self.side.name}: {self._benchmarks[name].problem}")
        if self._benchmarks[name].skipped:
            self._running = ""
        return self._benchmarks[name].skipped

    def seconds(self, name: str, calls: int, pieces: int, turn: int) -> float:
        """Advance the clock by the time of the calls."""
        assert name == self._running
        machine, benchmark = self._machine, self._benchmarks[name]
        factors = benchmark.by_pair
        seconds = (
            calls
            * benchmark.seconds
            * factors[(machine.process_pairs - 1) % len(factors)]
            * math.exp(machine.random.normal(0, machine.spread))
        )
        machine.turns.append((name, self.side.name, turn))
        machine.now += seconds * pieces
        return seconds

    def end(self, name: str) -> None:
        """End the benchmark."""
        assert name == self._running
        self._running = ""


@dataclass
class Machine:
    """The machine: its clock, and a record of what ran."""

    old: Mapping[str, Benchmark]
    new: Mapping[str, Benchmark]
    spread: float = 0.01
    budget_s: float = 1e9
    now: float = 0.0
    process_pairs: int = 0
    begun: list[tuple[str, str, str | None]] = field(default_factory=list)
    turns: list[tuple[str, str, int]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    seed: int = 3
    #: The new side from the second process pair on; None for no change.
    renamed: Mapping[str, Benchmark] | None = None

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    def clock(self) -> float:
        """Return the time in seconds."""
        return self.now

    @contextmanager
    def start_pair(self) -> Iterator[ProcessPair]:
        """Start a process pair."""
        self.process_pairs += 1
        if self.process_pairs > 1 and self.renamed is not None:
            self.new = self.renamed
        yield FakeSession("old", self.old, self), FakeSession("new", self.new, self)

    def measurement(
        self, threshold: float = 0.05, looks: Sequence[int] = LOOKS
    ) -> Measurement:
        """Return a measurement on this machine."""
        return Measurement(
            self.start_pair,
            threshold=threshold,
            left_s=lambda: self.budget_s - self.now,
            say=self.said.append,
            looks=looks,
            clock=self.clock,
        )

    def rounds_of(self, name: str) -> int:
        """Return how many process pairs ran the benchmark."""
        return sum(1 for begun in self.begun if begun[:2] == ("old", name))
