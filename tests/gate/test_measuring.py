"""The order and the number of rounds, on a machine whose time is made up."""

from __future__ import annotations

import pytest

from pytest_pipeline.gate.errors import GateFaultError
from tests.gate.machine import Benchmark, Machine


def machine_of(**benchmarks: tuple[Benchmark | None, Benchmark | None]) -> Machine:
    """Return a machine with benchmarks as they are on the old and on the new side."""
    old, new = (
        {name: pair[side] for name, pair in benchmarks.items()} for side in (0, 1)
    )
    return Machine(
        {name: found for name, found in old.items() if found is not None},
        {name: found for name, found in new.items() if found is not None},
    )


def same() -> tuple[Benchmark, Benchmark]:
    """Return a benchmark without a change."""
    return Benchmark(), Benchmark()


def verdicts(machine: Machine, threshold: float = 0.05) -> dict[str, str]:
    """Measure, and return the verdicts."""
    return {one.name: one.verdict for one in machine.measurement(threshold).results()}


def test_every_benchmark_has_its_verdict() -> None:
    """By the ratio of the new side's time to that of the old one."""
    machine = machine_of(
        same=same(),
        slower=(Benchmark(), Benchmark(0.013)),
        quicker=(Benchmark(), Benchmark(0.007)),
    )

    assert verdicts(machine) == {
        "same": "ok",
        "slower": "regressed",
        "quicker": "improved",
    }


def test_only_what_is_open_has_more_rounds() -> None:
    """Six rounds per process pair."""
    machine = machine_of(plain=same(), close=(Benchmark(), Benchmark(0.0105)))

    found = {one.name: one for one in machine.measurement().results()}

    assert (found["plain"].rounds, found["plain"].process_pairs) == (12, 2)
    assert (found["close"].rounds, found["close"].process_pairs) == (48, 8)
    assert found["close"].verdict == "inconclusive"
    assert machine.process_pairs == 8
    assert machine.rounds_of("plain") == 2


def test_a_side_is_told_what_comes_next() -> None:
    """So that fixtures which both need can stay."""
    machine = machine_of(one=same(), two=same())

    verdicts(machine)

    assert machine.begun[:4] == [
        ("old", "one", "two"),
        ("new", "one", "two"),
        ("old", "two", None),
        ("new", "two", None),
    ]


def test_the_sides_take_turns_and_have_the_same_core_in_each() -> None:
    """In A B B A and B A A B, of which two are one turn."""
    machine = machine_of(it=same())

    verdicts(machine)

    # Two samples of each size the others.
    rounds = machine.turns[4:28]
    orders = [
        "".join(side[0] for _, side, _ in rounds[at : at + 4]) for at in range(0, 24, 4)
    ]
    mirrored = {"onno": "noon", "noon": "onno"}
    assert [turn for *_, turn in rounds] == [0] * 8 + [1] * 8 + [2] * 8
    assert all(orders[at + 1] == mirrored[orders[at]] for at in (0, 2, 4))


def test_past_the_budget_no_rounds_are_added() -> None:
    """The first look excepted, without which there is no verdict."""
    machine = machine_of(close=(Benchmark(), Benchmark(0.0105)))
    machine.budget_s = 0.1

    (found,) = machine.measurement().results()

    assert (found.verdict, found.rounds) == ("inconclusive", 12)


def test_what_is_left_of_the_budget_is_shared_out() -> None:
    """The last benchmark has as many rounds as the first."""
    close = Benchmark(), Benchmark(0.0105)
    machine = machine_of(one=close, two=close, three=close)
    first_look_s = _time_of_first_look()
    machine.budget_s = first_look_s * 1.35

    rounds = {one.name: one.rounds for one in machine.measurement().results()}

    assert machine.now < machine.budget_s * 1.02
    assert 12 < min(rounds.values()) <= max(rounds.values()) <= min(rounds.values()) + 2


def _time_of_first_look() -> float:
    close = Benchmark(), Benchmark(0.0105)
    machine = machine_of(one=close, two=close, three=close)
    machine.budget_s = 0
    verdicts(machine)
    return machine.now


def test_looks_share_out_the_error() -> None:
    """Whoever looks once needs a narrower interval for the same rounds."""
    once, thrice = (
        machine_of(it=same()).measurement(looks=looks).results()[0].ratio
        for looks in ((12,), (12, 24, 48))
    )

    assert once is not None
    assert thrice is not None
    assert thrice.low < once.low


def test_the_new_side_says_the_threshold_of_a_benchmark() -> None:
    """Where it says none, that of the option holds."""
    machine = machine_of(
        marked=(Benchmark(threshold=0.01), Benchmark(0.013, threshold=0.5)),
        unmarked=(Benchmark(), Benchmark(0.013)),
    )

    found = {one.name: one for one in machine.measurement(0.1).results()}

    assert (found["marked"].verdict, found["marked"].threshold) == ("ok", 0.5)
    assert (found["unmarked"].verdict, found["unmarked"].threshold) == (
        "regressed",
        0.1,
    )


def test_what_is_on_one_side_alone_is_not_run() -> None:
    """But named, for what is gone may have been slow."""
    machine = machine_of(
        both=same(), added=(None, Benchmark()), removed=(Benchmark(), None)
    )

    assert verdicts(machine) == {"both": "ok", "added": "new", "removed": "gone"}
    assert {name for _, name, _ in machine.begun} == {"both"}


def test_nothing_on_both_sides_starts_one_process_pair() -> None:
    """And no look at anything."""
    machine = machine_of(removed=(Benchmark(), None))

    assert verdicts(machine) == {"removed": "gone"}
    assert not machine.begun


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [("no disk", "no disk", "skipped"), ("", "broken", "gone"), ("old", "", "new")],
)
def test_what_is_skipped_is_not_measured(old: str, new: str, verdict: str) -> None:
    """On one side alone it is as if it were not there."""
    machine = machine_of(
        it=(Benchmark(skipped=old), Benchmark(skipped=new)), other=same()
    )

    found = {one.name: one for one in machine.measurement().results()}

    assert (found["it"].verdict, found["it"].ratio) == (verdict, None)
    assert found["it"].note == f"skipped: {new or old}"
    assert found["other"].verdict == "ok"


def test_a_benchmark_that_fails_ends_the_gate() -> None:
    """With its side."""
    machine = machine_of(it=(Benchmark(), Benchmark(problem="it failed: 1 != 2")))

    with pytest.raises(GateFaultError, match=r"^new: it failed: 1 != 2$"):
        verdicts(machine)


def test_a_pair_that_was_placed_badly_makes_no_red() -> None:
    """A slow first process pair of eight is no regression."""
    slow = (1.12, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    machine = machine_of(it=(Benchmark(), Benchmark(by_pair=slow)))

    assert verdicts(machine)["it"] != "regressed"


def test_a_name_that_changes_is_refused() -> None:
    """Since what it was can't be found again."""
    machine = machine_of(it=same())
    machine.renamed = {"other": Benchmark()}

    with pytest.raises(GateFaultError, match=r"^new: it: was collected once"):
        verdicts(machine)


def test_of_many_gates_on_the_same_none_is_red_and_of_a_tenth_more_all_are() -> None:
    """With pairs of processes that differ by some per cent."""
    placed = (0.99, 1.02, 1.01, 0.98, 1.03, 1.0, 0.99, 1.01)
    found = []
    for seed, seconds in ((1, 0.01), (2, 0.01), (3, 0.011), (4, 0.011)):
        benchmark = Benchmark(seconds, by_pair=placed)
        machine = Machine(
            {"it": Benchmark()}, {"it": benchmark}, spread=0.02, seed=seed
        )
        found.append(verdicts(machine)["it"])

    assert found == ["ok", "ok", "regressed", "regressed"]
