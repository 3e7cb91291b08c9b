"""Two revisions of each benchmark take turns, until there is a verdict or no more time.

At the first look each benchmark has had 12 rounds; more are run only of those whose
verdict is open. Each look has its own sitting: a new pair of processes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

from pytest_pipeline.comparison import LOOKS, Rounds
from pytest_pipeline.gate.errors import GateFaultError
from pytest_pipeline.gate.judging import Judged, Sitting, Verdict, judge
from pytest_pipeline.gate.peer import Peer, Side

# A call of less than a millisecond would be lost in the time that a process needs to
# come to itself after the other's turn.
_SAMPLE_S = 0.03


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

    def seconds(self, name: str, calls: int) -> float:
        """Return how long so many calls take."""

    def end(self, name: str) -> None:
        """Have the benchmark end."""


Pair = tuple[Measurable, Measurable]
#: Starts a session of the old and one of the new side, and ends them.
Sit = Callable[[], AbstractContextManager[Pair]]


@contextmanager
def sitting(
    sides: tuple[Side, Side], arguments: Sequence[str], scratch: Path
) -> Iterator[Pair]:
    """Start a session of either side; what they say goes to files in ``scratch``."""
    with ExitStack() as stack:
        old, new = (
            stack.enter_context(Peer(side, arguments, scratch / f"{which}.log"))
            for which, side in zip(("old", "new"), sides, strict=True)
        )
        yield old, new


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
        self._sittings: dict[str, list[Sitting]] = {}
        self._judged: dict[str, Judged] = {}

    def judged(self) -> list[Judged]:
        """Measure, and return all benchmarks of both sides with their verdicts.

        Raises GateFaultError where a side fails.
        """
        with self._sit() as pair:
            thresholds = self._compared(*(peer.collected() for peer in pair))
            self._look(pair, list(thresholds), self._looks[0], thresholds)
        for look in self._looks[1:]:
            names = [name for name, found in self._judged.items() if found.is_open]
            if not names or self._left_s() <= 0:
                break
            with self._sit() as pair:
                for peer in pair:
                    self._check(peer, names)
                self._look(pair, names, look, thresholds)
        return list(self._judged.values())

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
                name=name, verdict=verdict, threshold=threshold, note=note
            )
        return thresholds

    def _look(
        self,
        pair: Pair,
        names: Sequence[str],
        look: int,
        thresholds: Mapping[str, float],
    ) -> None:
        """Run rounds of these benchmarks until each has as many; judge them."""
        self._say(f"{look} rounds of {len(names)} benchmark{'s'[: len(names) != 1]}")
        for number, name in enumerate(names):
            following = names[number + 1] if number + 1 < len(names) else None
            # The first look is always had, for without it there is no verdict.
            budget_s = (
                None
                if look == self._looks[0]
                else max(0.0, self._left_s()) / (len(names) - number)
            )
            had = self._sittings.setdefault(name, [])
            found = self._visit(
                pair, name, following, look - sum(map(len, had)), budget_s
            )
            if isinstance(found, Judged):
                self._judged[name] = found
                continue
            had.append(found)
            self._judged[name] = judge(
                name,
                [rounds for rounds in had if rounds],
                threshold=thresholds[name],
                benchmarks=len(thresholds),
                looks=len(self._looks),
            )

    def _visit(
        self,
        pair: Pair,
        name: str,
        following: str | None,
        count: int,
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
        rounds = Rounds(
            (partial(old.seconds, name), partial(new.seconds, name)),
            sample_s=_SAMPLE_S,
            alike=True,
            clock=self._clock,
        )
        rounds.run(count, budget_s)
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

    def _check(self, peer: Measurable, names: Sequence[str]) -> None:
        there = peer.collected()
        for name in names:
            if name not in there:
                raise GateFaultError(
                    f"{peer.side.name}: {name}: was collected once and not again; "
                    f"tests must not change their names"
                )
