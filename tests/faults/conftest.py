"""What the tests of runs with faults share."""

from __future__ import annotations

import pytest

from tests.faults.running import Data, make_data


@pytest.fixture(scope="session")
def data() -> Data:
    """What each run reads, and its result under the monolith."""
    return make_data()
