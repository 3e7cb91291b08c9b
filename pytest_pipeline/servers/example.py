"""Which example of a property test is under way."""

from __future__ import annotations

import sys


def current_example() -> object | None:
    """Return what stands for the example of hypothesis that runs now; None outside."""
    if "hypothesis" not in sys.modules:
        return None
    from hypothesis import currently_in_test_context
    from hypothesis.control import current_build_context

    return current_build_context() if currently_in_test_context() else None
