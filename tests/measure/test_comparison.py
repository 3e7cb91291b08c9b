"""Comparisons of callables under a fake clock."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline.errors import UsageError
from pytest_pipeline.measure.comparison import Answer, Comparer
from pytest_pipeline.measure.estimation import interval
from pytest_pipeline.measure.rounds import Rounds, Sampler


class FakeTime:
    """A fake clock, and callables that advance it."""

    def __init__(self, seed: int = 1) -> None:
        self.now = 0.0
        self.calls = 0
        self.random = np.random.default_rng(seed)
        self.drift = 0.0

    def clock(self) -> float:
        """Return the fake time in seconds."""
        return self.now

    def taking(self, seconds: float, spread: float = 0.02) -> Callable[[], None]:
        """Return a callable that takes about ``seconds``."""

        def variant() -> None:
            self.calls += 1
            noise = math.exp(self.random.normal(0, spread))
            self.now += seconds * noise * (1 + self.drift * self.now)

        return variant


@pytest.fixture
def time() -> FakeTime:
    """A fake clock for each test."""
    return FakeTime()


@pytest.fixture
def compare(time: FakeTime) -> Comparer:
    """A comparer that uses the fake clock."""
    return Comparer(clock=time.clock)


def test_a_ratio_is_found_within_its_interval(
    time: FakeTime, compare: Comparer
) -> None:
    """It is claimed, since the interval lies above the factor."""
    quick, slow = time.taking(0.1), time.taking(0.4)

    answer = compare(quick, slow).faster_than(slow, by=3.0)

    assert answer
    assert answer.outcome == "faster"
    assert answer.ratio.low < 4 < answer.ratio.high
    assert answer.ratio.value == pytest.approx(4, rel=0.03)


def test_the_lower_end_of_the_interval_decides(
    time: FakeTime, compare: Comparer
) -> None:
    """A ratio above the factor is inconclusive if the interval reaches below it."""
    quick, slow = time.taking(1.0, 0.3), time.taking(1.05, 0.3)

    answer = compare(quick, slow, budget_s=1e9).faster_than(slow)

    assert not answer
    assert answer.outcome == "inconclusive"
    assert answer.compared.rounds == 48


def test_the_order_of_the_callables_does_not_matter(
    time: FakeTime, compare: Comparer
) -> None:
    """A question is about the callable that is not named, in whichever order."""
    quick, slow = time.taking(0.1), time.taking(0.4)
    comparison = compare(slow, quick)

    assert comparison.faster_than(slow, by=3)
    assert comparison.faster_than(quick).outcome == "not faster"


def test_not_faster_is_claimed_by_the_upper_end(
    time: FakeTime, compare: Comparer
) -> None:
    """So a test can require that a gain is small."""
    batched, single = time.taking(1.0), time.taking(1.05)
    comparison = compare(batched, single)

    assert comparison.not_faster_than(single, by=1.25)
    assert not comparison.not_faster_than(single, by=1.05)
    assert not comparison.not_faster_than(single, by=1.01)


def test_equal_callables_are_no_difference(time: FakeTime, compare: Comparer) -> None:
    """After 48 rounds, neither is claimed to be faster."""
    one, same = time.taking(1.0), time.taking(1.0)

    answer = compare(one, same, budget_s=1e9).faster_than(same)

    assert answer.outcome == "inconclusive"
    assert answer.compared.rounds == 48


def test_rounds_are_added_only_while_the_answer_is_open(
    time: FakeTime, compare: Comparer
) -> None:
    """Twelve rounds answer a clear question, and a second question reuses them."""
    quick, slow = time.taking(1.0), time.taking(2.0)
    comparison = compare(quick, slow)

    assert comparison.faster_than(slow).compared.rounds == 12
    ran = time.calls
    assert comparison.faster_than(slow, by=1.5).compared.rounds == 12
    assert time.calls == ran


def test_no_round_is_added_beyond_the_budget(time: FakeTime) -> None:
    """Only the rounds of the first look always run."""
    compare = Comparer(clock=time.clock)
    one, same = time.taking(1.0), time.taking(1.0)

    answer = compare(one, same, budget_s=100.0).faster_than(same)

    assert answer.outcome == "inconclusive"
    assert 12 < answer.compared.rounds < 48
    assert time.now < 101


def test_a_drift_is_no_difference(time: FakeTime, compare: Comparer) -> None:
    """An even slowdown cancels out of a round, and of the noise floor."""
    one, same = time.taking(1.0, 0.001), time.taking(1.0, 0.001)
    time.drift = 0.001

    answer = compare(one, same).faster_than(same)

    assert answer.ratio.value == pytest.approx(1, abs=0.002)
    assert answer.compared.floor == pytest.approx(1, abs=0.002)


def test_a_difference_below_the_noise_floor_is_not_claimed(time: FakeTime) -> None:
    """The noise floor is high if first and second samples differ."""
    seconds = iter([1.0, 1.0, *_turning_rounds(12)])

    def next_taking(factor: float) -> Callable[[], None]:
        def variant() -> None:
            time.now += next(seconds) * factor

        return variant

    quick, slow = next_taking(1.0), next_taking(1.04)
    compare = Comparer(clock=time.clock, looks=(12,))

    answer = compare(quick, slow, sample_s=0.5).faster_than(slow)

    assert answer.ratio.low > 1.03
    assert answer.compared.floor > answer.ratio.low
    assert answer.outcome == "inconclusive"


def _turning_rounds(count: int) -> list[float]:
    # Two samples to calibrate and warm up, then rounds of four.
    rounds = [
        [1.0, 1.0, 1.1, 1.1] if number % 2 else [1.1, 1.1, 1.0, 1.0]
        for number in range(count)
    ]
    return [1.0, 1.0, *(second for samples in rounds for second in samples)]


def test_one_disturbed_round_changes_little(time: FakeTime, compare: Comparer) -> None:
    """The mean is trimmed."""
    calls = 0

    def disturbed() -> None:
        nonlocal calls
        calls += 1
        time.now += 60.0 if calls == 10 else 1.0

    steady = time.taking(1.5, 0.0)

    answer = compare(disturbed, steady, budget_s=1e9).faster_than(steady, by=1.4)

    assert answer
    assert answer.ratio.value == pytest.approx(1.5)


def test_a_sample_makes_as_many_calls_as_it_needs(
    time: FakeTime, compare: Comparer
) -> None:
    """A sample of a quick callable is as long as one of a slow one."""
    quick, slow = time.taking(0.001, 0.0), time.taking(1.0, 0.0)

    answer = compare(quick, slow, sample_s=1.0).faster_than(slow, by=900)

    assert answer
    assert time.calls > 24 * 1000


def test_callables_are_compared_by_their_work(
    time: FakeTime, compare: Comparer
) -> None:
    """The ratio is of the time for a unit of work, not for a call."""
    batched, single = time.taking(1.0), time.taking(2.0)

    answer = compare(batched, single, work=(100, 10)).faster_than(single, by=15)

    assert answer
    assert answer.ratio.value == pytest.approx(20, rel=0.03)


def test_the_repr_of_an_answer_has_all_of_it(time: FakeTime, compare: Comparer) -> None:
    """A failed assert so shows the ratio and the evidence."""
    batched, single = time.taking(0.1, 0.0), time.taking(0.4, 0.0)

    answer = compare(batched, single, names=("size 100", "size 1")).faster_than(
        single, by=5
    )

    assert repr(answer) == (
        "<size 100 is 4 × as fast as size 1 (4 × to 4 × at 99%, 12 rounds, A/A "
        "1.000 ×): not faster by 5 ×>"
    )


def test_answering_is_called_for_every_answer(time: FakeTime) -> None:
    """The function may decide when, or whether, to measure."""
    seen: list[Answer] = []

    def answering(find: Callable[[], Answer]) -> Answer:
        seen.append(find())
        return seen[-1]

    compare = Comparer(clock=time.clock, answering=answering)
    quick, slow = time.taking(1.0), time.taking(3.0)

    answer = compare(quick, slow).faster_than(slow)

    assert seen == [answer]


def test_the_same_rounds_have_the_same_interval() -> None:
    """The bootstrap has a fixed seed."""
    logs = np.random.default_rng(7).normal(0.1, 0.05, 20)

    assert interval(logs) == interval(logs)


def test_more_looks_make_an_interval_wider() -> None:
    """Each look has its share of the error."""
    logs = np.random.default_rng(7).normal(0.1, 0.05, 24)

    once, thrice = interval(logs), interval(logs, looks=3)

    assert thrice.low < once.low < once.value < once.high < thrice.high


def test_an_interval_widens_beyond_the_bootstraps_reach() -> None:
    """A higher confidence still widens the interval there."""
    logs = np.random.default_rng(7).normal(0.1, 0.05, 12)

    some, hardly_any = (
        interval(logs, confidence=0.999),
        interval(logs, confidence=0.9999),
    )

    assert hardly_any.low < some.low * 0.99
    assert some.high * 1.01 < hardly_any.high


def recording_sampler(seconds: float, asked: list[tuple[int, int]]) -> Sampler:
    """Return a sampler with calls of ``seconds`` that notes its arguments."""

    def sample(calls: int, pieces: int) -> float:
        asked.append((calls, pieces))
        return calls * seconds

    return sample


@pytest.mark.parametrize(
    ("seconds", "pieces"), [(0.001, 10), (0.02, 5), (1.0, 3)], ids=str
)
def test_a_sample_has_fewer_pieces_if_a_call_is_long(
    seconds: float, pieces: int
) -> None:
    """There are at least three, so that one is without an interruption."""
    asked: list[tuple[int, int]] = []
    sampler = recording_sampler(seconds, asked)

    Rounds((sampler, sampler), sample_s=0.01, pieces=10).run(1, None)

    assert {of for _, of in asked[-4:]} == {pieces}


def test_alike_callables_are_called_equally_often() -> None:
    """Both are called as often as the quicker one needs."""
    asked: list[tuple[int, int]] = []

    rounds = Rounds(
        (recording_sampler(0.001, asked), recording_sampler(0.002, asked)),
        sample_s=0.01,
        alike=True,
    )
    rounds.run(1, None)

    assert set(asked[-4:]) == {(10, 1)}
    assert rounds.logs[0][1] - rounds.logs[0][0] == pytest.approx(math.log(2))


def test_hardly_any_comparison_of_equals_claims_a_difference() -> None:
    """The confidence allows one in a hundred."""
    claims = 0
    for seed in range(60):
        time = FakeTime(seed)
        one, same = time.taking(1.0, 0.05), time.taking(1.0, 0.05)
        comparison = Comparer(clock=time.clock)(one, same, budget_s=1e9)
        claims += comparison.faster_than(same).outcome != "inconclusive"

    assert claims <= 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"looks": (6, 12)}, "looks (6, 12)"),
        ({"looks": (24, 12)}, "looks (24, 12)"),
        ({"looks": ()}, "looks ()"),
        ({"confidence": 1.0}, "confidence 1.0"),
        ({"warmup": -1}, "warmup -1"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], said: str) -> None:
    """The error has the name and the value of the setting."""
    with pytest.raises(UsageError) as caught:
        Comparer(**settings)
    assert said in str(caught.value)


def test_invalid_questions_are_refused(compare: Comparer) -> None:
    """The error comes before anything runs."""

    def one() -> None:
        raise AssertionError

    def other() -> None:
        raise AssertionError

    comparison = compare(one, other)
    for ask, said in (
        (lambda: compare(one, one), "one object twice"),
        (lambda: compare(one, 3), "compare(3): is no callable"),  # type: ignore[arg-type]
        (lambda: compare(one, other, sample_s=0), "sample_s 0"),
        (lambda: compare(one, other, work=(1, 0)), "work (1, 0)"),
        (lambda: compare(one, other, budget_s=-1), "budget_s -1"),
        (lambda: comparison.faster_than(print), "print is none of the two"),
        (lambda: comparison.faster_than(other, by=0), "by=0"),
        (lambda: interval([0.0] * 11), "11 rounds: needs 12"),
    ):
        with pytest.raises(UsageError, match=r".") as caught:
            ask()
        assert said in str(caught.value)


def test_an_exception_of_a_callable_is_raised(compare: Comparer) -> None:
    """There is then no answer."""

    def broken() -> None:
        raise LookupError("broken")

    with pytest.raises(LookupError, match="broken"):
        compare(broken, lambda: None).faster_than(broken)


def test_samples_are_taken_by_the_timer(time: FakeTime) -> None:
    """Such as one of CPU time, which pytest-benchmark was told to use."""
    cpu = FakeTime()

    def waiting() -> None:
        time.now += 0.4
        cpu.now += 0.1

    def busy() -> None:
        time.now += 0.4
        cpu.now += 0.4

    answer = Comparer(clock=time.clock, timer=cpu.clock)(
        waiting, busy, budget_s=1000
    ).faster_than(busy, by=3.9)

    assert answer.ratio.value == pytest.approx(4)


def test_warm_up_calls_come_before_the_first_sample(time: FakeTime) -> None:
    """They are not timed, and each callable gets as many."""
    calls = {"a": 0, "b": 0}
    cold: list[str] = []

    def variant(name: str) -> Callable[[], None]:
        def function() -> None:
            calls[name] += 1
            if calls[name] <= 7:
                cold.append(name)
            time.now += 5.0 if calls[name] <= 7 else 0.1

        return function

    a, b = variant("a"), variant("b")
    answer = Comparer(clock=time.clock, warmup=7)(a, b).faster_than(b)

    assert sorted(cold) == ["a"] * 7 + ["b"] * 7
    assert answer.ratio.value == pytest.approx(1)


def test_garbage_is_not_collected_if_the_benchmark_says_so(time: FakeTime) -> None:
    """As with --benchmark-disable-gc."""
    collecting: list[bool] = []

    def function() -> None:
        collecting.append(gc.isenabled())
        time.now += 0.1

    Comparer(clock=time.clock, disable_gc=True)(
        function, time.taking(0.1)
    ).not_faster_than(function)

    assert not any(collecting)
    assert gc.isenabled()
