"""What a benchmark may note."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import UsageError
from pytest_pipeline.measure.results import Measured


def test_a_result_at_batch_size_auto_must_say_a_number() -> None:
    """The error says where to take it from."""
    size: Any = "auto"

    with pytest.raises(UsageError, match=r"^batch_size='auto': .* typical_batch_size$"):
        Measured(group="batching", batch_size=size)
