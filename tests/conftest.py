"""Fixtures that several folders of tests share."""

from __future__ import annotations

import pytest

from tests.node import install


@pytest.fixture(scope="session")
def installed_node_example() -> None:
    """Install the Node example; fails the test if npm cannot."""
    install()
