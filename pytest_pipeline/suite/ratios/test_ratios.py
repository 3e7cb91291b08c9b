"""Check that what batching gains and the split costs is not worse than the baseline."""

from __future__ import annotations

from pytest_pipeline.measure.harness import Harness
from pytest_pipeline.measure.ratios.check import RatiosCheck
from pytest_pipeline.measure.ratios.pairs import Pair

#: Seconds that all ratios may take together, after the first 12 rounds of each.
BUDGET_S = 90.0


def test_a_ratio(
    baseline_check: RatiosCheck, harness: Harness, pairs: list[Pair], pair: Pair
) -> None:
    """A ratio is not worse than the baseline's, by the whole of both intervals."""
    harness.skip_if_too_few(pair.workload, pair.batch_size)

    baseline_check.check_ratio(pair, harness, BUDGET_S / len(pairs))


def test_every_ratio_of_the_file_was_looked_at(
    baseline_check: RatiosCheck, pairs: list[Pair]
) -> None:
    """The baseline file has no ratios that this session does not check."""
    baseline_check.check_complete(pairs)
