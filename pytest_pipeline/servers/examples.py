"""The example of a property test that is running."""

from __future__ import annotations

import sys


def current_example() -> object | None:
    """Return an object unique to the current example of hypothesis, or None."""
    if "hypothesis" not in sys.modules:
        return None
    from hypothesis import currently_in_test_context
    from hypothesis.control import current_build_context

    return current_build_context() if currently_in_test_context() else None
