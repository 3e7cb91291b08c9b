"""Run callables in interleaved rounds: two as A B B A or B A A B, or more in turns.

A drift within a round cancels out of its log-ratio, and a disturbance of one round is
one value of many. The order is drawn at random for every second round and mirrored for
the next one, so that nothing periodic, such as the slices of a scheduler, keeps step
with either callable.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Mapping
from typing import TypeAlias, TypeVar

import numpy as np

from pytest_pipeline.measure.instrumentation import uninstrumented

#: Takes a number of calls and a number of pieces. Makes that many calls in each piece,
#: and returns the seconds of the quickest piece.
Sampler: TypeAlias = Callable[[int, int], float]

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

_SEED = 1
_MIRRORED = {"abba": "baab", "baab": "abba"}
# Pieces of a sample at least, if it has any; with fewer, all may be interrupted.
_FEWEST_PIECES = 3


def in_turns(runs: Mapping[K, Callable[[], T]], rounds: int) -> dict[K, list[T]]:
    """Call each function once a round, and return what it returned in each.

    Every other round goes backwards, so that a machine that slows down favours none.
    """
    found: dict[K, list[T]] = {name: [] for name in runs}
    for number in range(rounds):
        for name in list(runs)[:: -1 if number % 2 else 1]:
            found[name].append(runs[name]())
    return found


def timed(
    function: Callable[[], object], clock: Callable[[], float] = time.perf_counter
) -> Sampler:
    """Return a sampler that calls ``function`` and takes the time by ``clock``."""

    def piece(calls: int) -> float:
        began = clock()
        for _ in range(calls):
            function()
        return clock() - began

    return lambda calls, pieces: min(piece(calls) for _ in range(pieces))


class Rounds:
    """Samples of two callables, in rounds of A B B A or B A A B.

    Args:
        samplers: Of A and of B.
        work: How much one call of each does, in any unit.
        sample_s: Seconds of a sample, which has as many calls as that needs.
        alike: Make the same number of calls in samples of both, so that the first
            call, which finds the caches cold, weighs the same in both.
        pieces: Take the quickest of this many pieces as a sample. If one call is longer
            than ``sample_s``, there are fewer pieces, but three. On a crowded machine
            most samples are interrupted, but hardly ever all pieces of one.
        clock: Returns seconds; the budget is taken by it.
        collect_garbage: False to stop automatic garbage collection in all rounds.
    """

    def __init__(
        self,
        samplers: tuple[Sampler, Sampler],
        *,
        work: tuple[float, float] = (1, 1),
        sample_s: float,
        alike: bool = False,
        pieces: int = 1,
        clock: Callable[[], float] = time.perf_counter,
        collect_garbage: bool = True,
    ) -> None:
        self._samplers = dict(zip("ab", samplers, strict=True))
        self._work = dict(zip("ab", work, strict=True))
        self._sample_s = sample_s
        self._alike = alike
        self._pieces = pieces
        self._clock = clock
        self._collect_garbage = collect_garbage
        self._calls: dict[str, int] = {}
        self._spent_s = 0.0
        self._random = np.random.default_rng(_SEED)
        self._order = ""
        #: For each round the logarithms of its four samples, in seconds per unit of
        #: work, in the order A, B, B, A whichever came first.
        self.logs: list[tuple[float, ...]] = []

    def run(self, count: int, budget_s: float | None) -> None:
        """Run until there are ``count`` rounds, or the next would exceed the budget.

        Tracers and profilers are stopped meanwhile: a tracer charges for each line, so
        it would change the ratio.

        Args:
            count: Of rounds, earlier ones included.
            budget_s: Seconds for all rounds, earlier ones included; None for no limit.
        """
        with uninstrumented(collect_garbage=self._collect_garbage):
            self._run(count, budget_s)

    def _run(self, count: int, budget_s: float | None) -> None:
        began = self._clock() - self._spent_s
        if not self._calls:
            self._size()
        while len(self.logs) < count:
            round_began = self._clock()
            mean_s = (round_began - began) / max(1, len(self.logs))
            if budget_s is not None and round_began - began + mean_s > budget_s:
                break
            self.logs.append(self._round())
        self._spent_s = self._clock() - began

    def _round(self) -> tuple[float, ...]:
        if len(self.logs) % 2:
            self._order = _MIRRORED[self._order]
        else:
            self._order = str(self._random.choice(list(_MIRRORED)))
        samples = [(name, self._sample(name)) for name in self._order]
        a, b = ([log for of, log in samples if of == name] for name in "ab")
        return a[0], b[0], b[1], a[1]

    def _sample(self, name: str) -> float:
        calls = self._calls[name]
        work = calls * self._work[name]
        seconds = self._samplers[name](calls, self._pieces)
        return math.log(max(seconds, 1e-9) / work)

    def _size(self) -> None:
        """Find the calls and pieces of a sample; this also warms both up."""
        sizes = {name: self._calls_per_sample(name) for name in "ab"}
        self._calls = {name: calls for name, (calls, _) in sizes.items()}
        if self._alike:
            self._calls = dict.fromkeys("ab", max(self._calls.values()))
        if self._pieces > 1:
            # The same for both, since the quickest of more pieces is quicker.
            longest_s = max(seconds for _, seconds in sizes.values())
            fitting = math.ceil(self._pieces * self._sample_s / longest_s)
            self._pieces = max(_FEWEST_PIECES, min(self._pieces, fitting))

    def _calls_per_sample(self, name: str) -> tuple[int, float]:
        """Return how many calls a sample needs, and the seconds that they took."""
        sampler = self._samplers[name]
        sampler(1, 1)
        calls = 1
        while (seconds := sampler(calls, 1)) < self._sample_s:
            missing = self._sample_s / max(seconds, self._sample_s / 100)
            calls = math.ceil(calls * max(1.5, missing))
        return calls, seconds
