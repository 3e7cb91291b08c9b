"""Two revisions of each benchmark take turns, until there is a verdict or no more time.

At the first look each benchmark has had 12 rounds; more are run only of those whose
verdict is open. Rounds are run in sittings of 6, each of a new pair of processes.
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
from pytest_pipeline.gate.judging import Judged, Sitting, Verdict, judge
from pytest_pipeline.gate.peer import Peer, Side
from pytest_pipeline.measure.estimation import LOOKS
from pytest_pipeline.measure.rounds import Rounds

# Shorter than a slice of the scheduler, so that there are pieces which nothing has
# interrupted; and so many that the first few, after a pause, need not count.
_PIECE_S = 0.002
_PIECES = 12

_ROUNDS_OF_A_SITTING = 6
# Bytes; a page is what addresses repeat by.
_PADDINGS = 4096
_PADDING_STEP = 1232


class Measurable(Protocol):
    """What runs the benchmarks of one side; see `Peer`."""

    @property
    def side(self) -> Side:
        """Which side that is."""

    def collected(self) -> dict[str, float | None]:
        """Return the benchmarks and their own thresholds."""

    def begin(self, name: str, following: str | None) -> None:
        """Have a benchmark begin."""

    def is_ready(self, name: str) -> str:
        """Wait until samples can be had; return why it is skipped, if so."""

    def seconds(self, name: str, calls: int, pieces: int, turn: int) -> float:
        """Return how long so many calls take, in the quickest of the pieces."""

    def end(self, name: str) -> None:
        """Have the benchmark end."""


Pair = tuple[Measurable, Measurable]
#: Starts a session of the old and one of the new side, and ends them.
Sit = Callable[[], AbstractContextManager[Pair]]


def sittings(sides: tuple[Side, Side], arguments: Sequence[str], scratch: Path) -> Sit:
    """Return what starts a session of either side; their output goes to ``scratch``."""
    numbers = count()

    @contextmanager
    def sit() -> Iterator[Pair]:
        padding = next(numbers) * _PADDING_STEP % _PADDINGS
        with ExitStack() as stack:
            old, new = (
                stack.enter_context(
                    Peer(side, arguments, scratch / f"{which}.log", padding)
                )
                for which, side in zip(("old", "new"), sides, strict=True)
            )
            yield old, new

    return sit


class Measuring:
    """Sittings and the verdicts that they come to.

    ``left_s`` returns how many seconds of the budget are left; ``say`` is told what
    goes on.
    """

    def __init__(
        self,
        sit: Sit,
        *,
        threshold: float,
        left_s: Callable[[], float],
        say: Callable[[str], None] = lambda _: None,
        looks: Sequence[int] = LOOKS,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._sit = sit
        self._threshold = threshold
        self._left_s = left_s
        self._say = say
        self._looks = looks
        self._clock = clock
        self._thresholds: dict[str, float] = {}
        self._sittings: dict[str, list[Sitting]] = {}
        self._judged: dict[str, Judged] = {}

    def judged(self) -> list[Judged]:
        """Measure, and return all benchmarks of both sides with their verdicts.

        Raises GateFaultError where a side fails.
        """
        had = 0
        for look in self._looks:
            for left in range((look - had) // _ROUNDS_OF_A_SITTING, 0, -1):
                # The first look is always had, for without it there is no verdict.
                if had and (self._left_s() <= 0 or not self._open()):
                    break
                with self._sit() as pair:
                    self._collect(pair)
                    self._sit_through(pair, None if not had else left)
            for name in self._open():
                self._judge(name)
            had = look
        return list(self._judged.values())

    def _open(self) -> list[str]:
        return [name for name, judged in self._judged.items() if judged.is_open]

    def _collect(self, pair: Pair) -> None:
        """Note what there is at first; then see that it is there again."""
        old, new = (peer.collected() for peer in pair)
        if not self._judged:
            self._thresholds = self._compared(old, new)
            if self._thresholds:
                self._say(f"benchmarks in both: {len(self._thresholds)}")
        for name in self._open():
            for peer, there in zip(pair, (old, new), strict=True):
                if name not in there:
                    raise GateFaultError(
                        f"{peer.side.name}: {name}: was collected once and not again; "
                        f"tests must keep their names"
                    )

    def _compared(
        self, old: Mapping[str, float | None], new: Mapping[str, float | None]
    ) -> dict[str, float]:
        """Return the thresholds of what both sides have; note the rest.

        What the new side says of a threshold holds.
        """
        thresholds = {}
        for name in [*new, *(name for name in old if name not in new)]:
            own = new[name] if name in new else old[name]
            threshold = self._threshold if own is None else own
            verdict: Verdict
            if name in old and name in new:
                thresholds[name] = threshold
                # All are noted, so that they come out in the order of the files.
                verdict, note = "inconclusive", "not measured"
            elif name in new:
                verdict, note = "new", "the old revision does not have it"
            else:
                verdict, note = "gone", "the new revision does not have it"
            self._judged[name] = Judged(
                name=name,
                verdict=verdict,
                threshold=threshold,
                note=note,
                is_open=verdict == "inconclusive",
            )
        return thresholds

    def _sit_through(self, pair: Pair, sittings_left: int | None) -> None:
        """Run rounds of all that is open, each with its share of the time that is left.

        ``sittings_left`` are those of this look; None where the budget does not count.
        """
        names = self._open()
        for number, name in enumerate(names):
            following = names[number + 1] if number + 1 < len(names) else None
            budget_s = None
            if sittings_left is not None:
                visits = sittings_left * len(names) - number
                budget_s = max(0.0, self._left_s()) / visits
            found = self._visit(pair, name, following, budget_s)
            if isinstance(found, Judged):
                self._judged[name] = found
            elif found:
                self._sittings.setdefault(name, []).append(found)

    def _judge(self, name: str) -> None:
        self._judged[name] = judge(
            name,
            self._sittings[name],
            threshold=self._thresholds[name],
            benchmarks=len(self._thresholds),
            looks=len(self._looks),
        )

    def _visit(
        self,
        pair: Pair,
        name: str,
        following: str | None,
        budget_s: float | None,
    ) -> Sitting | Judged:
        """Return rounds of one benchmark, or that it is skipped."""
        for peer in pair:
            peer.begin(name, following)
        skipped = [peer.is_ready(name) for peer in pair]
        if any(skipped):
            for peer, reason in zip(pair, skipped, strict=True):
                if not reason:
                    peer.end(name)
            return self._skipped(name, *skipped)
        old, new = pair

        def sample(peer: Measurable, calls: int, pieces: int) -> float:
            # Two rounds that are mirrored are of one turn.
            return peer.seconds(name, calls, pieces, len(rounds.logs) // 2)

        rounds = Rounds(
            (partial(sample, old), partial(sample, new)),
            sample_s=_PIECE_S,
            alike=True,
            pieces=_PIECES,
            clock=self._clock,
        )
        rounds.run(_ROUNDS_OF_A_SITTING, budget_s)
        for peer in pair:
            peer.end(name)
        return rounds.logs

    def _skipped(self, name: str, old: str, new: str) -> Judged:
        return Judged(
            name=name,
            # Skipped by one alone it is as if only the other had it.
            verdict="skipped" if old and new else "gone" if new else "new",
            threshold=self._threshold,
            note=f"skipped: {new or old}",
        )
