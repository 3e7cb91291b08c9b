"""Runs with faults that seeds draw; `tox -e faults` has 1,000 of them."""

from __future__ import annotations

import sys

import pytest

from tests.faults.__main__ import run_seed
from tests.faults.running import Data

# A run takes six processes or more, and so about 5 s of CPU time.
SEEDS = range(60)


@pytest.mark.skipif(sys.platform != "linux", reason="uses limits that Linux has")
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_with_faults_is_exact_or_fails_in_one_line(data: Data, seed: int) -> None:
    """It ends, leaves nothing, and a failed one has left the earlier output."""
    report = run_seed(seed, data)

    assert not report.complaints, str(report)
