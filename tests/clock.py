"""A clock for tests of code that is given one."""

from __future__ import annotations


class StandingClock:
    """A clock that stands until it is moved; in seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now
