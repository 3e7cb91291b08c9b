"""Fixtures of the tests of the driver."""

from __future__ import annotations

import pytest

from pytest_pipeline.servers.fake_clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands at 0."""
    return FakeClock()
