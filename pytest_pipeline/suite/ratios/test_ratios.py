"""What batching gains and the split costs is what the committed file says."""

from __future__ import annotations

from pytest_pipeline.measure.bench import Bench
from pytest_pipeline.measure.ratios.pairs import Pair
from pytest_pipeline.suite.ratios.conftest import BUDGET_S, RatiosCheck


def test_a_ratio(
    baseline_check: RatiosCheck, bench: Bench, pairs: list[Pair], pair: Pair
) -> None:
    """It is not worse than it was, by the whole of both intervals."""
    bench.skip_if_too_few(pair.workload, pair.batch_size)

    baseline_check.hold(pair, bench, BUDGET_S / len(pairs))


def test_every_ratio_of_the_file_was_looked_at(
    baseline_check: RatiosCheck, pairs: list[Pair]
) -> None:
    """What the file has beside these would be held to nothing."""
    others = baseline_check.baseline.others(pairs)
    if baseline_check.update:
        baseline_check.baseline.drop_others(pairs)
        baseline_check.baseline.write(baseline_check.path)
    elif others:
        baseline_check.fail(*(f"{name}: nothing measures this" for name in others))
