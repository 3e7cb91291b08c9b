"""What a chart consists of, in values of its axes. ``svg.py`` draws it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

#: A colour of the style sheet; the first four tell series apart.
Colour = Literal["blue", "orange", "green", "purple", "muted", "text"]
#: The colours of series, in order.
COLOURS: tuple[Colour, ...] = ("blue", "orange", "green", "purple")
Marker = Literal[
    "circle", "square", "triangle", "diamond", "plus", "star", "cross", "left", "stroke"
]
#: How to read a chart that has an earlier session overlaid.
BEFORE = " Thin lines and open markers are the session before."


@dataclass(frozen=True)
class Axis:
    """A linear or logarithmic axis from ``low`` to ``high``; a high below low is down.

    ``ticks`` are values with their labels, ``lines`` values with a grid line alone.
    """

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...] = ()
    lines: tuple[float, ...] = ()
    log: bool = False
    grid: bool = True
    title: str = ""

    def position(self, value: float) -> float:
        """Return where a value lies, from 0 at ``low`` to 1 at ``high``."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return (value - low) / (high - low)


@dataclass(frozen=True)
class Point:
    """A point of a series, with the ends of its interval and its text when hovered."""

    x: float
    y: float
    low: float
    high: float
    text: str


@dataclass(frozen=True)
class Series:
    """Points with one look, and the line through them.

    The interval of a point is in y, or in x where ``sideways`` is true. ``before``
    draws the series of an earlier session: thin, with open markers.
    """

    name: str
    points: tuple[Point, ...]
    colour: Colour
    marker: Marker | None
    #: Index of the line's dashes; None for no line.
    dash: int | None = None
    before: bool = False
    open: bool = False
    sideways: bool = False
    #: Pixels to each side of an interval's end.
    caps: int = 3


@dataclass(frozen=True)
class Bar:
    """A rectangle; ``look`` is its class in the style sheet."""

    name: str
    x: tuple[float, float]
    y: tuple[float, float]
    look: str
    #: When hovered; no text lets the pointer through.
    text: str = ""
    #: Written into the bar, or behind its whisker where the bar is too short.
    label: str = ""
    #: Where a whisker goes from and to.
    whisker: tuple[float, float] | None = None


@dataclass(frozen=True)
class Rule:
    """A dotted line down at ``x``, with a label above it."""

    x: float
    label: str = ""


@dataclass(frozen=True)
class Label:
    """Lines of text at the left of a panel, from ``y`` downwards."""

    y: float
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Panel:
    """Two axes and what is drawn between them, the first at the back."""

    height: int
    x: Axis
    y: Axis
    marks: tuple[Series | Bar | Rule | Label, ...]
    heading: str = ""


@dataclass(frozen=True)
class Chart:
    """Panels above each other. ``title`` says what is seen, ``text`` how to read it."""

    title: str
    text: str
    panels: tuple[Panel, ...]


def named(series: str, *, before: bool) -> str:
    """Return the name of a series of this session or of the one before."""
    return f"{series}, before" if before else series
