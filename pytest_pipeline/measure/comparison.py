"""Answer how many times as fast one callable is as another, with the evidence.

Both are run in interleaved `rounds`, and `estimation` gives the ratio, its confidence
interval and the noise floor, below which no difference is claimed.

Rounds are added only while the answer is open. Every look at them is another chance to
be wrong, so the looks share the error that is allowed in all.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.errors import UsageError
from pytest_pipeline.measure.estimation import (
    CONFIDENCE,
    LOOKS,
    interval,
    log_ratios,
    noise_floor,
)
from pytest_pipeline.measure.results import Compared, Interval
from pytest_pipeline.measure.rounds import Rounds, Sampler, timed

Outcome = Literal["faster", "not faster", "inconclusive"]


@dataclass(frozen=True)
class Answer:
    """The answer to a question of a `Comparison`.

    It is true if the claim holds. "inconclusive" is false, and proves neither side. Its
    ``repr`` has the ratio with its interval, the rounds and the noise floor, so that a
    failed ``assert`` shows them.

    Attributes:
        compared: All figures, as they are saved.
    """

    compared: Compared

    def __bool__(self) -> bool:
        return self.outcome == self.compared.claim

    def __repr__(self) -> str:
        found, ratio = self.compared, self.compared.ratio
        whether = "inconclusive whether " if self.outcome == "inconclusive" else ""
        claim = "faster" if whether else self.outcome
        by = f" by {_times(found.by)}" if found.by != 1 else ""
        return (
            f"<{found.first} is {_times(ratio.value)} as fast as {found.second} "
            f"({_times(ratio.low)} to {_times(ratio.high)} at {ratio.confidence:.0%}, "
            f"{found.rounds} rounds, A/A {_times(found.floor)}): "
            f"{whether}{claim}{by}>"
        )

    @property
    def outcome(self) -> Outcome:
        """``"faster"``, ``"not faster"`` or ``"inconclusive"``, by the interval."""
        return self.compared.outcome

    @property
    def ratio(self) -> Interval:
        """How many times as fast, with the confidence interval."""
        return self.compared.ratio


class Comparer:
    """Compares callables; the fixture ``pipeline_compare`` returns one.

    ::

        def test_batching_is_faster(pipeline_compare):
            assert pipeline_compare(batched, single).faster_than(single, by=3.0)

    Args:
        looks: Numbers of rounds after which an answer is looked for, rising, each 12
            or more. The last is the most rounds that a comparison runs.
        confidence: Of the interval, over all looks; more than 0.5 and less than 1.
        clock: Returns seconds. The budget is taken by it.
        timer: Returns the seconds that samples are taken by; None for ``clock``.
        disable_gc: Stop automatic garbage collection while samples are taken.
        warmup: Calls of each callable before its first sample.
        answering: Called with a function that measures and returns the answer. It
            returns that answer, and may do something before or after.

    Raises:
        UsageError: ``looks``, ``confidence`` or ``warmup`` is out of range.
    """

    def __init__(
        self,
        *,
        looks: Sequence[int] = LOOKS,
        confidence: float = CONFIDENCE,
        clock: Callable[[], float] = time.perf_counter,
        timer: Callable[[], float] | None = None,
        disable_gc: bool = False,
        warmup: int = 0,
        answering: Callable[[Callable[[], Answer]], Answer] = lambda find: find(),
    ) -> None:
        if not looks or min(looks) < LOOKS[0] or sorted(set(looks)) != list(looks):
            raise UsageError(
                f"compare: looks {tuple(looks)} must rise, from {LOOKS[0]} or more"
            )
        if not 0.5 < confidence < 1:
            raise UsageError(f"compare: confidence {confidence} must be in (0.5, 1)")
        if warmup < 0:
            raise UsageError(f"compare: warmup {warmup} must be 0 or more")
        self._looks = tuple(looks)
        self._confidence = confidence
        self._clock = clock
        self._timer = timer or clock
        self._disable_gc = disable_gc
        self._warmup = warmup
        self._answering = answering

    def __call__(
        self,
        a: Callable[[], object],
        b: Callable[[], object],
        *,
        names: tuple[str, str] | None = None,
        work: tuple[float, float] = (1, 1),
        sample_s: float = 0.02,
        budget_s: float = 60.0,
    ) -> Comparison:
        """Return the comparison of two callables. Nothing runs until it is asked.

        Args:
            a: The first callable; takes no arguments.
            b: The second one, another object.
            names: What answers call them; by default their ``__name__``.
            work: How much one call of each does, if that differs: the ratio is then of
                the time for a unit of work.
            sample_s: Seconds of a sample, which has as many calls as that needs.
            budget_s: Seconds that no round after the first look may exceed.

        Raises:
            UsageError: They are not two different callables, or ``work``, ``sample_s``
                or ``budget_s`` is not more than 0.
        """
        for function in (a, b):
            if not callable(function):
                raise UsageError(f"compare({function!r}): is no callable")
        if a is b:
            raise UsageError(
                f"compare({_name(a)}, {_name(b)}): is one object twice; wrap one of "
                f"them to compare it with itself"
            )
        if min(work) <= 0:
            raise UsageError(f"compare: work {work} must be more than 0")
        if not (sample_s > 0 and budget_s > 0):
            raise UsageError(
                f"compare: sample_s {sample_s} and budget_s {budget_s} must be more "
                f"than 0"
            )
        return Comparison(
            (a, b),
            names or _names(a, b),
            Rounds(
                (self._sampler(a), self._sampler(b)),
                work=work,
                sample_s=sample_s,
                clock=self._clock,
                collect_garbage=not self._disable_gc,
            ),
            looks=self._looks,
            budget_s=budget_s,
            confidence=self._confidence,
            answering=self._answering,
        )

    def _sampler(self, function: Callable[[], object]) -> Sampler:
        """Return the sampler of a callable; its first sample follows the warm-up."""
        measure = timed(function, self._timer)
        cold = iter(range(self._warmup))

        def sampler(calls: int, pieces: int) -> float:
            for _ in cold:
                function()
            return measure(calls, pieces)

        return sampler


class Comparison:
    """The comparison of two callables: asks questions of their rounds.

    A `Comparer` makes it. A second question starts with the rounds of the first.
    """

    def __init__(
        self,
        functions: tuple[Callable[[], object], Callable[[], object]],
        names: tuple[str, str],
        rounds: Rounds,
        *,
        looks: Sequence[int],
        budget_s: float,
        confidence: float,
        answering: Callable[[Callable[[], Answer]], Answer],
    ) -> None:
        self._functions = functions
        self._names = names
        self._rounds = rounds
        self._looks = looks
        self._budget_s = budget_s
        self._confidence = confidence
        self._answering = answering

    def faster_than(self, other: Callable[[], object], *, by: float = 1.0) -> Answer:
        """Ask whether one callable is more than ``by`` times as fast as ``other``.

        Args:
            other: One of the two; the question is about the one that it is not.
            by: The factor, more than 0.

        Returns:
            An answer that is true if the whole interval lies above ``by`` and, if
            ``by`` is 1 or more, above the noise floor.

        Raises:
            UsageError: ``other`` is neither of the two, or ``by`` is no factor.
        """
        return self._ask(other, "faster", by)

    def not_faster_than(
        self, other: Callable[[], object], *, by: float = 1.0
    ) -> Answer:
        """Ask whether one callable is less than ``by`` times as fast as ``other``.

        Args:
            other: One of the two; the question is about the one that it is not.
            by: The factor, more than 0.

        Returns:
            An answer that is true if the whole interval lies below ``by`` and, if
            ``by`` is 1 or less, below the inverse of the noise floor.

        Raises:
            UsageError: ``other`` is neither of the two, or ``by`` is no factor.
        """
        return self._ask(other, "not faster", by)

    def _ask(
        self,
        other: Callable[[], object],
        claim: Literal["faster", "not faster"],
        by: float,
    ) -> Answer:
        if not 0 < by < math.inf:
            raise UsageError(f"compare: by={by} must be a factor, more than 0")
        if all(other is not function for function in self._functions):
            raise UsageError(
                f"compare: {_name(other)} is none of the two, {self._names[0]} and "
                f"{self._names[1]}"
            )
        first = int(other is self._functions[0])
        return self._answering(lambda: self._find(first, claim, by))

    def _find(
        self, first: int, claim: Literal["faster", "not faster"], by: float
    ) -> Answer:
        """Run rounds until there is an answer, or no more rounds may be run."""
        for look in self._looks:
            self._rounds.run(look, self._budget_s if look > self._looks[0] else None)
            answer = Answer(self._compared(first, claim, by))
            if answer.outcome != "inconclusive" or len(self._rounds.logs) < look:
                break
        return answer

    def _compared(
        self, first: int, claim: Literal["faster", "not faster"], by: float
    ) -> Compared:
        logs = np.array(self._rounds.logs)
        ratios = log_ratios(logs)
        ratio = interval(
            ratios if first == 0 else -ratios,
            confidence=self._confidence,
            looks=len(self._looks),
        )
        floor = noise_floor(logs)
        return Compared(
            first=self._names[first],
            second=self._names[1 - first],
            claim=claim,
            by=by,
            outcome=_outcome(ratio, by, floor),
            ratio=ratio,
            floor=floor,
            rounds=len(logs),
        )


def _outcome(ratio: Interval, by: float, floor: float) -> Outcome:
    # Whether there is any difference, by=1, is claimed beyond the noise floor only, on
    # either side.
    if ratio.low > (max(by, floor) if by >= 1 else by):
        return "faster"
    if ratio.high < (min(by, 1 / floor) if by <= 1 else by):
        return "not faster"
    return "inconclusive"


def _names(a: object, b: object) -> tuple[str, str]:
    names = _name(a), _name(b)
    return names if names[0] != names[1] else ("the first", "the second")


def _name(function: object) -> str:
    name: str = getattr(function, "__name__", type(function).__name__)
    return name


def _times(ratio: float) -> str:
    """Format a ratio with three digits, or enough of them to tell it from 1."""
    return f"{ratio:.3g} ×" if not 0.9 < ratio < 1.1 else f"{ratio:.3f} ×"
