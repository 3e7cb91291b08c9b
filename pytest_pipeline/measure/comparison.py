"""How many times as fast is one callable as another? A ratio, with its evidence.

Both run in rounds of A B B A or B A A B, so that whatever drifts within a round falls
out of its log-ratio, and whatever disturbs one round is one value of many. Which of the
two is drawn, once for every second round, so that nothing that comes and goes, such as
the slices of a scheduler, keeps step with either. The ratio is the
trimmed mean over the rounds; its interval is a bootstrap, widened for few rounds as
Hesterberg does ("What Teachers Should Know about the Bootstrap", 2015, section 4.1.3).
The same rounds say what ratio two runs of one and the same would have seemed to have:
the A/A floor, below which no difference is claimed.

Rounds are added only while the answer is open. Looking more than once makes it likelier
to be wrong once, so each look has its share of the error that is allowed in all.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pipeline.errors import UsageError
from pytest_pipeline.measure.results import Compared, Interval

Variant = Callable[[], object]
#: Calls something so often in each of so many pieces, and returns how many seconds the
#: quickest of them took.
Sampler = Callable[[int, int], float]
Outcome = Literal["faster", "not faster", "inconclusive"]

#: How many rounds there are when the answer is looked at.
LOOKS = (12, 24, 48)
CONFIDENCE = 0.99

_TRIMMED = 0.2
_RESAMPLES = 9999
#: Standard errors from the mean past which a bootstrap of so few draws says nothing.
_REACH = 3.5
_SEED = 1
_MIRRORED = {"abba": "baab", "baab": "abba"}


@dataclass(frozen=True)
class Answer:
    """What came of one question; true if what was claimed holds."""

    compared: Compared

    def __bool__(self) -> bool:
        """Say whether the claim holds: "inconclusive" is no proof of either."""
        return self.outcome == self.compared.claim

    def __repr__(self) -> str:
        said, ratio = self.compared, self.compared.ratio
        whether = "inconclusive whether " if self.outcome == "inconclusive" else ""
        claim = "faster" if whether else self.outcome
        by = f" by {_times(said.by)}" if said.by != 1 else ""
        return (
            f"<{said.first} is {_times(ratio.value)} as fast as {said.second} "
            f"({_times(ratio.low)} to {_times(ratio.high)} at {ratio.confidence:.0%}, "
            f"{said.rounds} rounds, A/A {_times(said.floor)}): {whether}{claim}{by}>"
        )

    @property
    def outcome(self) -> Outcome:
        """What the interval says of the factor that was asked about."""
        return self.compared.outcome

    @property
    def ratio(self) -> Interval:
        """How many times as fast."""
        return self.compared.ratio


class Comparer:
    """Compares callables; what the fixture ``pipeline_compare`` is.

    ``answering`` runs what finds an answer, and returns it. Raises UsageError for
    settings that make no sense.
    """

    def __init__(
        self,
        *,
        looks: Sequence[int] = LOOKS,
        confidence: float = CONFIDENCE,
        clock: Callable[[], float] = time.perf_counter,
        answering: Callable[[Callable[[], Answer]], Answer] = lambda find: find(),
    ) -> None:
        if not looks or min(looks) < LOOKS[0] or sorted(set(looks)) != list(looks):
            raise UsageError(
                f"compare: looks {tuple(looks)} must rise, from {LOOKS[0]} or more"
            )
        if not 0.5 < confidence < 1:
            raise UsageError(f"compare: confidence {confidence} must be in (0.5, 1)")
        self._looks = tuple(looks)
        self._confidence = confidence
        self._clock = clock
        self._answering = answering

    def __call__(
        self,
        a: Variant,
        b: Variant,
        *,
        names: tuple[str, str] | None = None,
        work: tuple[float, float] = (1, 1),
        sample_s: float = 0.02,
        budget_s: float = 60.0,
    ) -> Comparison:
        """Return the comparison of two callables; nothing runs until it is asked.

        ``names`` are what answers call them; without, what they call themselves.
        ``work`` is how much a call of each does, where that is not the same. A sample
        calls a variant so often that it takes ``sample_s`` seconds. After the first
        look no round is begun that would end more than ``budget_s`` seconds after the
        start. Raises UsageError unless they are two callables, and two objects.
        """
        for variant in (a, b):
            if not callable(variant):
                raise UsageError(f"compare({variant!r}): is no callable")
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
                (timed(a, self._clock), timed(b, self._clock)),
                work=work,
                sample_s=sample_s,
                clock=self._clock,
            ),
            looks=self._looks,
            budget_s=budget_s,
            confidence=self._confidence,
            answering=self._answering,
        )


class Comparison:
    """Two callables, the rounds that they have run, and answers from these.

    Made by `Comparer`. A second question starts from the rounds that are there.
    """

    def __init__(
        self,
        variants: tuple[Variant, Variant],
        names: tuple[str, str],
        rounds: Rounds,
        *,
        looks: Sequence[int],
        budget_s: float,
        confidence: float,
        answering: Callable[[Callable[[], Answer]], Answer],
    ) -> None:
        self._variants = variants
        self._names = names
        self._rounds = rounds
        self._looks = looks
        self._budget_s = budget_s
        self._confidence = confidence
        self._answering = answering

    def faster_than(self, other: Variant, *, by: float = 1.0) -> Answer:
        """Ask whether the one that is not ``other`` is more than ``by`` times as fast.

        True once the interval lies above ``by`` and, where any difference is claimed,
        above the A/A floor. Raises UsageError where ``other`` is none of the two.
        """
        return self._ask(other, "faster", by)

    def not_faster_than(self, other: Variant, *, by: float = 1.0) -> Answer:
        """Ask whether the one that is not ``other`` is less than ``by`` times as fast.

        True once the interval lies below ``by``. Raises as `faster_than`.
        """
        return self._ask(other, "not faster", by)

    def _ask(
        self, other: Variant, claim: Literal["faster", "not faster"], by: float
    ) -> Answer:
        if not 0 < by < math.inf:
            raise UsageError(f"compare: by={by} must be a factor, more than 0")
        if all(other is not variant for variant in self._variants):
            raise UsageError(
                f"compare: {_name(other)} is none of the two, {self._names[0]} and "
                f"{self._names[1]}"
            )
        first = int(other is self._variants[0])
        return self._answering(lambda: self._find(first, claim, by))

    def _find(
        self, first: int, claim: Literal["faster", "not faster"], by: float
    ) -> Answer:
        """Run rounds until the answer is there, or no more are to be had."""
        for look in self._looks:
            self._rounds.run(look, self._budget_s if look > self._looks[0] else None)
            answer = Answer(self._judged(first, claim, by))
            if answer.outcome != "inconclusive" or len(self._rounds.logs) < look:
                break
        return answer

    def _judged(
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


def interval(
    log_ratios: Sequence[float] | NDArray[np.float64],
    *,
    confidence: float = CONFIDENCE,
    looks: int = 1,
) -> Interval:
    """Return the ratio that paired rounds show, with its interval.

    ``log_ratios`` has the logarithm of each round's ratio, 12 or more; ``looks`` is how
    often the question is asked while rounds are added, among which the error that
    ``confidence`` leaves is shared out. Raises UsageError for fewer rounds.
    """
    values = np.asarray(log_ratios, dtype=np.float64)
    rounds = len(values)
    if rounds < LOOKS[0]:
        raise UsageError(f"interval of {rounds} rounds: needs {LOOKS[0]} or more")
    tail = (1 - confidence) / 2 / looks
    # A percentile of the bootstrap is too narrow for few rounds by as much as Student's
    # t is wider than the normal distribution.
    wide = stats.t.ppf(1 - tail, rounds - 1) * math.sqrt(rounds / (rounds - 1))
    reach = min(wide, _REACH)
    found = stats.bootstrap(
        (values,),
        trimmed_mean,
        confidence_level=1 - 2 * stats.norm.cdf(-reach),
        n_resamples=_RESAMPLES,
        method="percentile",
        vectorized=True,
        # The same rounds have the same answer.
        rng=np.random.default_rng(rounds),
    ).confidence_interval
    value = trimmed_mean(values)
    # What is asked beyond the reach of the draws, as where many questions share one
    # error, is as far from the value as it would be of a normal distribution.
    return Interval(
        low=math.exp(value + (found.low - value) * wide / reach),
        value=math.exp(value),
        high=math.exp(value + (found.high - value) * wide / reach),
        confidence=confidence,
    )


def timed(variant: Variant, clock: Callable[[], float] = time.perf_counter) -> Sampler:
    """Return what calls ``variant`` and takes the time."""

    def piece(calls: int) -> float:
        began = clock()
        for _ in range(calls):
            variant()
        return clock() - began

    return lambda calls, pieces: min(piece(calls) for _ in range(pieces))


class Rounds:
    """Samples of two variants, in rounds of A B B A or B A A B.

    ``work`` is how much a call of each does; a sample takes ``sample_s`` seconds, or
    one call. Where the two are ``alike``, both are called equally often in a sample,
    so that the first call, which finds the caches cold, weighs the same in both.

    With ``pieces`` a sample is the quickest of so many: of fewer, but three, where one
    call is longer than ``sample_s``. On a crowded machine most samples are interrupted,
    but hardly all pieces of one.
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
    ) -> None:
        self._samplers = dict(zip("ab", samplers, strict=True))
        self._work = dict(zip("ab", work, strict=True))
        self._sample_s = sample_s
        self._alike = alike
        self._pieces = pieces
        self._clock = clock
        self._calls: dict[str, int] = {}
        self._spent_s = 0.0
        self._random = np.random.default_rng(_SEED)
        self._order = ""
        #: Of each round the logarithms of its samples, in seconds for a unit of work:
        #: of A the first, of B the first, of B the second, of A the second.
        self.logs: list[tuple[float, ...]] = []

    def run(self, count: int, budget_s: float | None) -> None:
        """Run until there are ``count`` rounds, or the next would exceed the budget."""
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
        # Of two rounds one begins with each variant.
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
        """Find how many calls and pieces a sample needs; it also warms both up."""
        sizes = {name: self._calls_per_sample(name) for name in "ab"}
        self._calls = {name: calls for name, (calls, _) in sizes.items()}
        if self._alike:
            self._calls = dict.fromkeys("ab", max(self._calls.values()))
        if self._pieces > 1:
            # As many of both, since more of them have a quicker one among them.
            longest_s = max(seconds for _, seconds in sizes.values())
            fitting = math.ceil(self._pieces * self._sample_s / longest_s)
            self._pieces = max(3, min(self._pieces, fitting))

    def _calls_per_sample(self, name: str) -> tuple[int, float]:
        """Return how many calls a sample needs, and how long they have taken."""
        sampler = self._samplers[name]
        sampler(1, 1)
        calls = 1
        while (seconds := sampler(calls, 1)) < self._sample_s:
            missing = self._sample_s / max(seconds, self._sample_s / 100)
            calls = math.ceil(calls * max(1.5, missing))
        return calls, seconds


def log_ratios(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return of each round the logarithm of B's time to A's; see `Rounds.logs`."""
    ratios: NDArray[np.float64] = (
        logs[:, 1] + logs[:, 2] - logs[:, 0] - logs[:, 3]
    ) / 2
    return ratios


def noise_floor(logs: NDArray[np.float64]) -> float:
    """Return the ratio of each round's second samples to its first, 1 or more.

    Every other round is turned over, so that a drift is none of it.
    """
    turned = np.where(np.arange(len(logs)) % 2, -1.0, 1.0)
    halves = (logs[:, 2] + logs[:, 3] - logs[:, 0] - logs[:, 1]) / 2
    return math.exp(abs(trimmed_mean(halves * turned)))


def _outcome(ratio: Interval, by: float, floor: float) -> Outcome:
    # Of a factor that is no difference at all, the floor is in the way on both sides.
    if ratio.low > (max(by, floor) if by >= 1 else by):
        return "faster"
    if ratio.high < (min(by, 1 / floor) if by <= 1 else by):
        return "not faster"
    return "inconclusive"


def trimmed_mean(values: NDArray[np.float64], axis: int = -1) -> Any:
    """Return the mean without the fifth of the values at either end."""
    return stats.trim_mean(values, _TRIMMED, axis=axis)


def _names(a: Variant, b: Variant) -> tuple[str, str]:
    names = _name(a), _name(b)
    return names if names[0] != names[1] else ("the first", "the second")


def _name(variant: object) -> str:
    name: str = getattr(variant, "__name__", type(variant).__name__)
    return name


def _times(ratio: float) -> str:
    """Write a ratio with as many digits as tell it from 1, or three."""
    return f"{ratio:.3g} ×" if not 0.9 < ratio < 1.1 else f"{ratio:.3f} ×"
