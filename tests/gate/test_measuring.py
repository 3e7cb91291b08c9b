"""Order and number of rounds, on a simulated machine."""

from __future__ import annotations

import pytest

from pytest_pipeline.gate.errors import GateFaultError
from tests.gate.machine import Benchmark, Machine


def machine_of(**benchmarks: tuple[Benchmark | None, Benchmark | None]) -> Machine:
    """Return a machine; each benchmark is a pair of its old and new side."""
    old, new = (
        {name: pair[side] for name, pair in benchmarks.items()} for side in (0, 1)
    )
    return Machine(
        {name: found for name, found in old.items() if found is not None},
        {name: found for name, found in new.items() if found is not None},
    )


def same() -> tuple[Benchmark, Benchmark]:
    """Return an unchanged benchmark."""
    return Benchmark(), Benchmark()


def verdicts(machine: Machine, threshold: float = 0.05) -> dict[str, str]:
    """Measure, and return the verdicts."""
    return {one.name: one.verdict for one in machine.measurement(threshold).results()}


def test_every_benchmark_gets_a_verdict() -> None:
    """From the ratio of the new time to the old one."""
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


def test_only_open_verdicts_get_more_rounds() -> None:
    """Six rounds per process pair."""
    machine = machine_of(plain=same(), close=(Benchmark(), Benchmark(0.0105)))

    found = {one.name: one for one in machine.measurement().results()}

    assert (found["plain"].rounds, found["plain"].process_pairs) == (12, 2)
    assert (found["close"].rounds, found["close"].process_pairs) == (48, 8)
    assert found["close"].verdict == "inconclusive"
    assert machine.process_pairs == 8
    assert machine.rounds_of("plain") == 2


def test_a_side_knows_the_next_benchmark() -> None:
    """So that pytest can keep the fixtures that it needs."""
    machine = machine_of(one=same(), two=same())

    verdicts(machine)

    assert machine.begun[:4] == [
        ("old", "one", "two"),
        ("new", "one", "two"),
        ("old", "two", None),
        ("new", "two", None),
    ]


def test_the_sides_take_turns_on_the_same_core() -> None:
    """A round is A B B A or B A A B, and two rounds are a turn."""
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


def test_no_rounds_are_added_after_the_budget() -> None:
    """Except for the first look, without which there is no verdict."""
    machine = machine_of(close=(Benchmark(), Benchmark(0.0105)))
    machine.budget_s = 0.1

    (found,) = machine.measurement().results()

    assert (found.verdict, found.rounds) == ("inconclusive", 12)


def test_the_rest_of_the_budget_is_shared_equally() -> None:
    """The last benchmark gets as many rounds as the first."""
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


def test_the_error_rate_is_shared_among_the_looks() -> None:
    """A single look has a narrower interval after the same rounds."""
    once, thrice = (
        machine_of(it=same()).measurement(looks=looks).results()[0].ratio
        for looks in ((12,), (12, 24, 48))
    )

    assert once is not None
    assert thrice is not None
    assert thrice.low < once.low


def test_the_threshold_is_that_of_the_new_side() -> None:
    """Without a marker, it is that of the option."""
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


def test_benchmarks_of_one_side_are_not_run() -> None:
    """They are reported: one that is gone may hide a regression."""
    machine = machine_of(
        both=same(), added=(None, Benchmark()), removed=(Benchmark(), None)
    )

    assert verdicts(machine) == {"both": "ok", "added": "new", "removed": "gone"}
    assert {name for _, name, _ in machine.begun} == {"both"}


def test_without_common_benchmarks_nothing_is_run() -> None:
    """One process pair collects, and that is all."""
    machine = machine_of(removed=(Benchmark(), None))

    assert verdicts(machine) == {"removed": "gone"}
    assert not machine.begun


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [("no disk", "no disk", "skipped"), ("", "broken", "gone"), ("old", "", "new")],
)
def test_skipped_benchmarks_are_not_measured(old: str, new: str, verdict: str) -> None:
    """Skipped on one side, a benchmark counts as missing there."""
    machine = machine_of(
        it=(Benchmark(skipped=old), Benchmark(skipped=new)), other=same()
    )

    found = {one.name: one for one in machine.measurement().results()}

    assert (found["it"].verdict, found["it"].ratio) == (verdict, None)
    assert found["it"].note == f"skipped: {new or old}"
    assert found["other"].verdict == "ok"


def test_a_failing_benchmark_ends_the_gate() -> None:
    """The message names its side."""
    machine = machine_of(it=(Benchmark(), Benchmark(problem="it failed: 1 != 2")))

    with pytest.raises(GateFaultError, match=r"^new: it failed: 1 != 2$"):
        verdicts(machine)


def test_one_slow_process_pair_is_no_regression() -> None:
    """The first of eight is slow, from its memory layout."""
    slow = (1.12, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    machine = machine_of(it=(Benchmark(), Benchmark(by_pair=slow)))

    assert verdicts(machine)["it"] != "regressed"


def test_a_changing_name_is_refused() -> None:
    """The benchmark can't be found again."""
    machine = machine_of(it=same())
    machine.renamed = {"other": Benchmark()}

    with pytest.raises(GateFaultError, match=r"^new: it: was collected once"):
        verdicts(machine)


def test_ten_per_cent_are_found_and_no_change_is_ok() -> None:
    """Although process pairs differ by some per cent."""
    placed = (0.99, 1.02, 1.01, 0.98, 1.03, 1.0, 0.99, 1.01)
    found = []
    for seed, seconds in ((1, 0.01), (2, 0.01), (3, 0.011), (4, 0.011)):
        benchmark = Benchmark(seconds, by_pair=placed)
        machine = Machine(
            {"it": Benchmark()}, {"it": benchmark}, spread=0.02, seed=seed
        )
        found.append(verdicts(machine)["it"])

    assert found == ["ok", "ok", "regressed", "regressed"]
