"""Interleave the two sides of each benchmark until the verdicts or the time are final.

Every benchmark runs 12 rounds before the first look; later looks add rounds only to
benchmarks whose verdict is open. Each process pair runs 6 rounds of a benchmark.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Protocol

from pytest_pipeline.gate.errors import GateFaultError
from pytest_pipeline.gate.side_session import Side, SideSession
from pytest_pipeline.gate.verdict import (
    BenchmarkResult,
    GateVerdict,
    PairRounds,
    judge_benchmark,
)
from pytest_pipeline.measure.estimation import LOOKS
from pytest_pipeline.measure.rounds import Rounds

# Shorter than a time slice of the scheduler, so that some pieces run uninterrupted; and
# so many that the first few, with cold caches after a pause, do not matter.
_PIECE_S = 0.002
_PIECES = 12

_ROUNDS_PER_PAIR = 6
# In bytes. Padding shifts the stack within a page of memory, differently in each pair.
_PAGE = 4096
_PADDING_STEP = 1232


class BenchmarkRunner(Protocol):
    """Runs the benchmarks of one side. `SideSession` implements it."""

    @property
    def side(self) -> Side:
        """The side whose benchmarks it runs."""

    def collected(self) -> dict[str, float | None]:
        """Return the benchmarks, each with the threshold of its marker or None."""

    def begin(self, name: str, following: str | None) -> None:
        """Start a benchmark; ``following`` is the one that will be started next."""

    def is_ready(self, name: str) -> str:
        """Wait until it can be sampled; return why it is skipped, or nothing."""

    def seconds(self, name: str, calls: int, pieces: int, turn: int) -> float:
        """Return the seconds that ``calls`` took in the quickest of the pieces."""

    def end(self, name: str) -> None:
        """Let the benchmark finish."""


#: A new process of the old and of the new side.
ProcessPair = tuple[BenchmarkRunner, BenchmarkRunner]
#: Starts a process pair, and ends it when the context is left.
StartPair = Callable[[], AbstractContextManager[ProcessPair]]


def pair_starter(
    sides: tuple[Side, Side], arguments: Sequence[str], scratch: Path
) -> StartPair:
    """Return a function that starts process pairs, which log to ``scratch``."""
    numbers = count()

    @contextmanager
    def start_pair() -> Iterator[ProcessPair]:
        padding = next(numbers) * _PADDING_STEP % _PAGE
        with ExitStack() as stack:
            old, new = (
                stack.enter_context(
                    SideSession(side, arguments, scratch / f"{which}.log", padding)
                )
                for which, side in zip(("old", "new"), sides, strict=True)
            )
            yield old, new

    return start_pair


class Measurement:
    """The measurement of all benchmarks of both sides.

    Args:
        start_pair: Starts a process pair.
        threshold: That of benchmarks whose marker names none.
        left_s: Returns how many seconds of the budget are left.
        say: Called with lines about the progress.
        looks: After how many rounds the verdicts are judged.
        clock: Returns the time in seconds.
    """

    def __init__(
        self,
        start_pair: StartPair,
        *,
        threshold: float,
        left_s: Callable[[], float],
        say: Callable[[str], None] = lambda _: None,
        looks: Sequence[int] = LOOKS,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._start_pair = start_pair
        self._threshold = threshold
        self._left_s = left_s
        self._say = say
        self._looks = looks
        self._clock = clock
        self._thresholds: dict[str, float] = {}
        self._rounds: dict[str, list[PairRounds]] = {}
        self._results: dict[str, BenchmarkResult] = {}

    def results(self) -> list[BenchmarkResult]:
        """Measure all benchmarks, and return them with their verdicts.

        Raises:
            GateFaultError: A side or a benchmark failed.
        """
        done = 0
        for look in self._looks:
            for left in range((look - done) // _ROUNDS_PER_PAIR, 0, -1):
                # The first look ignores the budget: without it there is no verdict.
                if done and (self._left_s() <= 0 or not self._open()):
                    break
                with self._start_pair() as pair:
                    self._collect(pair)
                    self._run_pair(pair, left if done else None)
            for name in self._open():
                self._judge(name)
            done = look
        return list(self._results.values())

    def _open(self) -> list[str]:
        return [name for name, result in self._results.items() if result.is_open]

    def _collect(self, pair: ProcessPair) -> None:
        """Note the benchmarks of the first pair; check that later ones have them."""
        old, new = (session.collected() for session in pair)
        if not self._results:
            self._thresholds = self._compared(old, new)
            if self._thresholds:
                self._say(f"benchmarks in both: {len(self._thresholds)}")
        for name in self._open():
            for session, there in zip(pair, (old, new), strict=True):
                if name not in there:
                    raise GateFaultError(
                        f"{session.side.name}: {name}: was collected once and not "
                        f"again; tests must keep their names"
                    )

    def _compared(
        self, old: Mapping[str, float | None], new: Mapping[str, float | None]
    ) -> dict[str, float]:
        """Return the thresholds of the benchmarks on both sides; note the others.

        The marker of the new side takes precedence.
        """
        thresholds = {}
        for name in [*new, *(name for name in old if name not in new)]:
            own = new[name] if name in new else old[name]
            threshold = self._threshold if own is None else own
            verdict: GateVerdict
            if name in old and name in new:
                thresholds[name] = threshold
                # Noted before they are measured, to keep them in the order of files.
                verdict, note = "inconclusive", "not measured"
            elif name in new:
                verdict, note = "new", "the old revision does not have it"
            else:
                verdict, note = "gone", "the new revision does not have it"
            self._results[name] = BenchmarkResult(
                name=name,
                verdict=verdict,
                threshold=threshold,
                note=note,
                is_open=verdict == "inconclusive",
            )
        return thresholds

    def _run_pair(self, pair: ProcessPair, pairs_left: int | None) -> None:
        """Run rounds of each open benchmark, within its share of the time left.

        ``pairs_left`` counts the pairs of this look; None ignores the budget.
        """
        names = self._open()
        for number, name in enumerate(names):
            following = names[number + 1] if number + 1 < len(names) else None
            budget_s = None
            if pairs_left is not None:
                visits = pairs_left * len(names) - number
                budget_s = max(0.0, self._left_s()) / visits
            found = self._visit(pair, name, following, budget_s)
            if isinstance(found, BenchmarkResult):
                self._results[name] = found
            elif found:
                self._rounds.setdefault(name, []).append(found)

    def _judge(self, name: str) -> None:
        self._results[name] = judge_benchmark(
            name,
            self._rounds[name],
            threshold=self._thresholds[name],
            benchmarks=len(self._thresholds),
            looks=len(self._looks),
        )

    def _visit(
        self,
        pair: ProcessPair,
        name: str,
        following: str | None,
        budget_s: float | None,
    ) -> PairRounds | BenchmarkResult:
        """Return the rounds of one benchmark, or a result that says it is skipped."""
        for session in pair:
            session.begin(name, following)
        skipped = [session.is_ready(name) for session in pair]
        if any(skipped):
            for session, reason in zip(pair, skipped, strict=True):
                if not reason:
                    session.end(name)
            return self._skipped(name, *skipped)
        old, new = pair

        def sample(session: BenchmarkRunner, calls: int, pieces: int) -> float:
            # Two mirrored rounds make one turn, and begin on the same core.
            return session.seconds(name, calls, pieces, len(rounds.logs) // 2)

        rounds = Rounds(
            (partial(sample, old), partial(sample, new)),
            sample_s=_PIECE_S,
            alike=True,
            pieces=_PIECES,
            clock=self._clock,
        )
        rounds.run(_ROUNDS_PER_PAIR, budget_s)
        for session in pair:
            session.end(name)
        return rounds.logs

    def _skipped(self, name: str, old: str, new: str) -> BenchmarkResult:
        return BenchmarkResult(
            name=name,
            # Skipped on one side, it exists on the other side only.
            verdict="skipped" if old and new else "gone" if new else "new",
            threshold=self._threshold,
            note=f"skipped: {new or old}",
        )
