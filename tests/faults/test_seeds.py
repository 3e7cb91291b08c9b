"""Runs with faults that seeds draw; `tox -e faults` has 1,000 of them."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator

import pytest

from tests.faults.__main__ import run_seed
from tests.faults.running import Data, make_data

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="finds and limits processes as Linux has them"
)

# A run takes six processes or more, and so about 5 s of CPU time.
SEEDS = range(24)


@pytest.fixture(scope="module")
def data() -> Data:
    """What each run reads, and its result under the monolith."""
    return make_data()


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Undo that a shell makes background jobs and their children ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_with_faults_is_exact_or_fails_in_one_line(data: Data, seed: int) -> None:
    """It ends, leaves nothing, and a failed one has left the earlier output."""
    report = run_seed(seed, data)

    assert not report.complaints, str(report)
