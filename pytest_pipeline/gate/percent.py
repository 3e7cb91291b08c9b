"""A ratio as the change that it is."""

from __future__ import annotations


def percent(ratio: float) -> str:
    """Write a ratio of times as a change in per cent, with its sign."""
    change = (ratio - 1) * 100
    return f"{change:+.1f} %" if abs(change) < 99.95 else f"{change:+.0f} %"
