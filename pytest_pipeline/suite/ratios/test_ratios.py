"""What batching gains and the split costs is what the committed file says."""

from __future__ import annotations

from pytest_pipeline.measure.bench import Bench
from pytest_pipeline.measure.ratios.pairs import Pair
from pytest_pipeline.suite.ratios.conftest import BUDGET_S, HeldTo


def test_a_ratio(held_to: HeldTo, bench: Bench, pairs: list[Pair], pair: Pair) -> None:
    """It is not worse than it was, by the whole of both intervals."""
    bench.skip_if_too_few(pair.workload, pair.batch_size)

    held_to.hold(pair, bench, BUDGET_S / len(pairs))


def test_every_ratio_of_the_file_was_looked_at(
    held_to: HeldTo, pairs: list[Pair]
) -> None:
    """What the file has beside these would be held to nothing."""
    others = held_to.baseline.others(pairs)
    if held_to.update:
        held_to.baseline.drop_others(pairs)
        held_to.baseline.write(held_to.path)
    elif others:
        held_to.fail(*(f"{name}: nothing measures this" for name in others))
