"""Axes with round ticks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from pytest_pipeline.report.charts.model import Axis
from pytest_pipeline.report.formatting import short

#: The ticks of an axis of shares.
SHARES = ((0.0, "0%"), (0.25, "25%"), (0.5, "50%"), (0.75, "75%"), (1.0, "100%"))
BATCH_SIZE = "batch size (records in a message)"

#: The factor between two batch sizes whose labels have room on a phone.
_APART = 2.1
#: A log axis of fewer decades has ticks between the powers of ten too.
_FEW_DECADES = 2.2
#: A log axis spans at least one decade, so that noise does not fill it.
_LEAST_SPAN = 1.0
_MOST_TICKS = 6


def log_axis(
    values: Iterable[float],
    label: Callable[[float], str],
    *,
    span: float = _LEAST_SPAN,
    title: str = "",
) -> Axis:
    """Return a log axis around positive values, at least ``span`` decades long."""
    known = [math.log10(value) for value in values]
    low, high = min(known), max(known)
    room = max(0.04 * (high - low), 0.1, (span - (high - low)) / 2)
    ends = 10 ** (low - room), 10 ** (high + room)
    ticks = tuple((tick, label(tick)) for tick in log_ticks(*ends))
    return Axis(*ends, ticks, log=True, title=title)


def log_ticks(low: float, high: float) -> list[float]:
    """Return the round numbers from ``low`` to ``high``, not too many for an axis."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1, 2, 5) if math.log10(high / low) < _FEW_DECADES else (1,)
    ticks = [
        float(f"{step}e{decade}") for decade in range(first, last + 1) for step in steps
    ]
    return [tick for tick in ticks if low <= tick <= high]


def batch_size_axis(sizes: Iterable[int]) -> Axis:
    """Return a log axis with a line per batch size, and labels that do not overlap."""
    lines = sorted(sizes, reverse=True)
    ticks: list[int] = []
    for size in lines:
        if not ticks or ticks[-1] / size > _APART:
            ticks.append(size)
    room = max(1.3, (lines[0] / lines[-1]) ** 0.04)
    return Axis(
        lines[-1] / room,
        lines[0] * room,
        tuple((tick, short(tick)) for tick in ticks),
        tuple(lines),
        log=True,
        title=BATCH_SIZE,
    )


def category_axis(labels: Sequence[str], title: str = "") -> Axis:
    """Return an axis of categories, at 0, 1, 2 and so on."""
    return Axis(-0.5, len(labels) - 0.5, tuple(enumerate(labels)), title=title)


def row_axis(labels: Sequence[str]) -> Axis:
    """Return a y axis of categories from the top; the first one spans 0 to 1."""
    ticks = tuple((row + 0.5, label) for row, label in enumerate(labels))
    return Axis(len(labels), 0, ticks, grid=False)


def zero_axis(most: float, label: Callable[[float], str]) -> Axis:
    """Return a linear axis from 0 to just above ``most``."""
    least_step = most / _MOST_TICKS
    decade = 10.0 ** math.floor(math.log10(least_step))
    step = next(of * decade for of in (1, 2, 5, 10) if of * decade >= least_step)
    ticks = [number * step for number in range(int(most / step) + 1)]
    return Axis(0, most * 1.03, tuple((tick, label(tick)) for tick in ticks))
