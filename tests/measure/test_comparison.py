"""Ratios of two callables, under a clock that is told how long they take."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline.errors import UsageError
from pytest_pipeline.measure.comparison import (
    Answer,
    Comparer,
    Rounds,
    Sampler,
    interval,
)


class Bench:
    """A clock, and callables that take as long as they are said to."""

    def __init__(self, seed: int = 1) -> None:
        self.now = 0.0
        self.calls = 0
        self.random = np.random.default_rng(seed)
        self.drift = 0.0

    def clock(self) -> float:
        """Return the time that has passed."""
        return self.now

    def taking(self, seconds: float, spread: float = 0.02) -> Callable[[], None]:
        """Return a callable that takes about so many seconds."""

        def variant() -> None:
            self.calls += 1
            noise = math.exp(self.random.normal(0, spread))
            self.now += seconds * noise * (1 + self.drift * self.now)

        return variant


@pytest.fixture
def bench() -> Bench:
    """A clock of its own for each test."""
    return Bench()


@pytest.fixture
def compare(bench: Bench) -> Comparer:
    """A comparer under that clock."""
    return Comparer(clock=bench.clock)


def test_a_ratio_is_found_within_its_interval(bench: Bench, compare: Comparer) -> None:
    """And claimed, since the interval lies above what was asked."""
    quick, slow = bench.taking(0.1), bench.taking(0.4)

    answer = compare(quick, slow).faster_than(slow, by=3.0)

    assert answer
    assert answer.outcome == "faster"
    assert answer.ratio.low < 4 < answer.ratio.high
    assert answer.ratio.value == pytest.approx(4, rel=0.03)


def test_the_lower_end_decides(bench: Bench, compare: Comparer) -> None:
    """A ratio above the factor is not enough where the interval reaches below it."""
    quick, slow = bench.taking(1.0, 0.3), bench.taking(1.05, 0.3)

    answer = compare(quick, slow, budget_s=1e9).faster_than(slow)

    assert not answer
    assert answer.outcome == "inconclusive"
    assert answer.compared.rounds == 48


def test_the_order_of_the_two_says_nothing(bench: Bench, compare: Comparer) -> None:
    """Who is faster is asked against the other one."""
    quick, slow = bench.taking(0.1), bench.taking(0.4)
    comparison = compare(slow, quick)

    assert comparison.faster_than(slow, by=3)
    assert comparison.faster_than(quick).outcome == "not faster"


def test_not_faster_is_claimed_by_the_upper_end(
    bench: Bench, compare: Comparer
) -> None:
    """So that a gain can be held to be small."""
    batched, single = bench.taking(1.0), bench.taking(1.05)
    comparison = compare(batched, single)

    assert comparison.not_faster_than(single, by=1.25)
    assert not comparison.not_faster_than(single, by=1.05)
    assert not comparison.not_faster_than(single, by=1.01)


def test_the_same_twice_is_no_difference(bench: Bench, compare: Comparer) -> None:
    """Neither is claimed to be faster, after all rounds that there may be."""
    one, same = bench.taking(1.0), bench.taking(1.0)

    answer = compare(one, same, budget_s=1e9).faster_than(same)

    assert answer.outcome == "inconclusive"
    assert answer.compared.rounds == 48


def test_rounds_are_added_only_while_the_answer_is_open(
    bench: Bench, compare: Comparer
) -> None:
    """Twelve are enough for what is plain, and a second question begins with them."""
    quick, slow = bench.taking(1.0), bench.taking(2.0)
    comparison = compare(quick, slow)

    assert comparison.faster_than(slow).compared.rounds == 12
    ran = bench.calls
    assert comparison.faster_than(slow, by=1.5).compared.rounds == 12
    assert bench.calls == ran


def test_no_round_is_added_beyond_the_budget(bench: Bench) -> None:
    """The first look excepted, for without it there is no answer."""
    compare = Comparer(clock=bench.clock)
    one, same = bench.taking(1.0), bench.taking(1.0)

    answer = compare(one, same, budget_s=100.0).faster_than(same)

    assert answer.outcome == "inconclusive"
    assert 12 < answer.compared.rounds < 48
    assert bench.now < 101


def test_a_drift_is_no_difference(bench: Bench, compare: Comparer) -> None:
    """Whatever slows down evenly falls out of a round of A B B A, and of the floor."""
    one, same = bench.taking(1.0, 0.001), bench.taking(1.0, 0.001)
    bench.drift = 0.001

    answer = compare(one, same).faster_than(same)

    assert answer.ratio.value == pytest.approx(1, abs=0.002)
    assert answer.compared.floor == pytest.approx(1, abs=0.002)


def test_a_difference_below_the_floor_is_not_claimed(bench: Bench) -> None:
    """Where the first samples of rounds take turns to be quicker than the last."""
    seconds = iter([1.0, 1.0, *_turning_rounds(12)])

    def next_taking(factor: float) -> Callable[[], None]:
        def variant() -> None:
            bench.now += next(seconds) * factor

        return variant

    quick, slow = next_taking(1.0), next_taking(1.04)
    compare = Comparer(clock=bench.clock, looks=(12,))

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


def test_one_round_that_is_disturbed_changes_little(
    bench: Bench, compare: Comparer
) -> None:
    """As the mean is trimmed."""
    calls = 0

    def disturbed() -> None:
        nonlocal calls
        calls += 1
        bench.now += 60.0 if calls == 10 else 1.0

    steady = bench.taking(1.5, 0.0)

    answer = compare(disturbed, steady, budget_s=1e9).faster_than(steady, by=1.4)

    assert answer
    assert answer.ratio.value == pytest.approx(1.5)


def test_a_sample_calls_as_often_as_it_takes(bench: Bench, compare: Comparer) -> None:
    """So that one of a quick callable is as long as one of a slow one."""
    quick, slow = bench.taking(0.001, 0.0), bench.taking(1.0, 0.0)

    answer = compare(quick, slow, sample_s=1.0).faster_than(slow, by=900)

    assert answer
    assert bench.calls > 24 * 1000


def test_what_does_more_in_a_call_is_compared_by_what_it_does(
    bench: Bench, compare: Comparer
) -> None:
    """Per unit of work, not per call."""
    batched, single = bench.taking(1.0), bench.taking(2.0)

    answer = compare(batched, single, work=(100, 10)).faster_than(single, by=15)

    assert answer
    assert answer.ratio.value == pytest.approx(20, rel=0.03)


def test_an_answer_tells_all_of_it(bench: Bench, compare: Comparer) -> None:
    """For whoever reads a test that failed."""
    batched, single = bench.taking(0.1, 0.0), bench.taking(0.4, 0.0)

    answer = compare(batched, single, names=("size 100", "size 1")).faster_than(
        single, by=5
    )

    assert repr(answer) == (
        "<size 100 is 4 × as fast as size 1 (4 × to 4 × at 99%, 12 rounds, A/A "
        "1.000 ×): not faster by 5 ×>"
    )


def test_whoever_has_the_answers_made_sees_them_all(bench: Bench) -> None:
    """And may decide when, or whether, to measure."""
    seen: list[Answer] = []

    def answering(find: Callable[[], Answer]) -> Answer:
        seen.append(find())
        return seen[-1]

    compare = Comparer(clock=bench.clock, answering=answering)
    quick, slow = bench.taking(1.0), bench.taking(3.0)

    answer = compare(quick, slow).faster_than(slow)

    assert seen == [answer]


def test_the_same_rounds_have_the_same_interval() -> None:
    """A bootstrap draws, but always the same."""
    logs = np.random.default_rng(7).normal(0.1, 0.05, 20)

    assert interval(logs) == interval(logs)


def test_more_looks_make_an_interval_wider() -> None:
    """Since each has but its share of the error that is allowed."""
    logs = np.random.default_rng(7).normal(0.1, 0.05, 24)

    once, thrice = interval(logs), interval(logs, looks=3)

    assert thrice.low < once.low < once.value < once.high < thrice.high


def test_what_no_draw_can_say_is_still_wider() -> None:
    """A share of the error so small that a bootstrap has no draws out there."""
    logs = np.random.default_rng(7).normal(0.1, 0.05, 12)

    some, hardly_any = (
        interval(logs, confidence=0.999),
        interval(logs, confidence=0.9999),
    )

    assert hardly_any.low < some.low * 0.99
    assert some.high * 1.01 < hardly_any.high


def noting(seconds: float, asked: list[tuple[int, int]]) -> Sampler:
    """Return a sampler of what takes so long, which notes what it is asked for."""

    def sample(calls: int, pieces: int) -> float:
        asked.append((calls, pieces))
        return calls * seconds

    return sample


@pytest.mark.parametrize(
    ("seconds", "pieces"), [(0.001, 10), (0.02, 5), (1.0, 3)], ids=str
)
def test_a_sample_has_fewer_pieces_where_a_call_is_long(
    seconds: float, pieces: int
) -> None:
    """But three, or none might be without an interruption."""
    asked: list[tuple[int, int]] = []
    sampler = noting(seconds, asked)

    Rounds((sampler, sampler), sample_s=0.01, pieces=10).run(1, None)

    assert {of for _, of in asked[-4:]} == {pieces}


def test_what_is_alike_is_called_equally_often() -> None:
    """As often as the quicker one needs to be."""
    asked: list[tuple[int, int]] = []

    rounds = Rounds(
        (noting(0.001, asked), noting(0.002, asked)), sample_s=0.01, alike=True
    )
    rounds.run(1, None)

    assert set(asked[-4:]) == {(10, 1)}
    assert rounds.logs[0][1] - rounds.logs[0][0] == pytest.approx(math.log(2))


def test_of_many_comparisons_of_the_same_hardly_one_claims_a_difference() -> None:
    """One in a hundred is what the confidence allows."""
    claims = 0
    for seed in range(60):
        bench = Bench(seed)
        one, same = bench.taking(1.0, 0.05), bench.taking(1.0, 0.05)
        comparison = Comparer(clock=bench.clock)(one, same, budget_s=1e9)
        claims += comparison.faster_than(same).outcome != "inconclusive"

    assert claims <= 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"looks": (6, 12)}, "looks (6, 12)"),
        ({"looks": (24, 12)}, "looks (24, 12)"),
        ({"looks": ()}, "looks ()"),
        ({"confidence": 1.0}, "confidence 1.0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    settings: dict[str, Any], said: str
) -> None:
    """By name, with what they must be."""
    with pytest.raises(UsageError) as caught:
        Comparer(**settings)
    assert said in str(caught.value)


def test_questions_that_make_no_sense_are_refused(compare: Comparer) -> None:
    """Before anything is run."""

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


def test_what_a_callable_raises_is_raised(compare: Comparer) -> None:
    """And nothing is said of it."""

    def broken() -> None:
        raise LookupError("broken")

    with pytest.raises(LookupError, match="broken"):
        compare(broken, lambda: None).faster_than(broken)
