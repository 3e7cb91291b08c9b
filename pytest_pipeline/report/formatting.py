"""Format numbers and times, in one way for tables, charts and sentences."""

from __future__ import annotations

from datetime import datetime

from pytest_pipeline.measure.results import Interval


def count(value: float) -> str:
    """Return a count or a rate; with three significant digits below 100."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def short(value: float) -> str:
    """Return a count for an axis, such as 1k or 2.5M."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.3g}{name}"
    return f"{value:.3g}"


def times(value: float) -> str:
    """Return a factor, with two decimals below 10."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2f}"


def share(value: float) -> str:
    """Return a share as a percentage; with a decimal below 1 % and above 99 %."""
    near_an_end = 0 < value < 0.01 or 0.99 < value < 1
    return f"{value:.1%}" if near_an_end else f"{value:.0%}"


def duration(seconds: float) -> str:
    """Return a duration in s, ms or µs, with three significant digits."""
    if seconds >= 1:
        return f"{seconds:.3g} s"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds * 1e6:.3g} µs"


def spread(interval: Interval) -> str:
    """Return how far the ends of an interval lie from its value, in per cent."""
    below = 1 - interval.low / interval.value
    above = interval.high / interval.value - 1
    return f"−{below * 100:.0f} +{above * 100:.0f}%"


def between(interval: Interval) -> str:
    """Return a rate per second, with its interval."""
    low, value, high = map(count, (interval.low, interval.value, interval.high))
    return f"{value}/s ({low} to {high})"


def moment(iso: str) -> str:
    """Return an ISO 8601 time to the minute; any other text unchanged."""
    try:
        when = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    return f"{when:%Y-%m-%d %H:%M %Z}".rstrip()


def change(ratio: float) -> str:
    """Return a ratio as a change in per cent, with its sign: 1.1 is +10.0 %."""
    percent = (ratio - 1) * 100
    return f"{percent:+.1f} %" if abs(percent) < 99.95 else f"{percent:+.0f} %"
