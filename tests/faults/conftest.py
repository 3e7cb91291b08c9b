"""What the tests of runs with faults share."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.faults.running import Data, make_data


@pytest.fixture(scope="session")
def data() -> Data:
    """What each run reads, and its result under the monolith."""
    return make_data()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Undo that a shell makes background jobs and their children ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
