"""Charts as plain data, in units of their axes. ``svg.py`` draws them."""

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
    """A linear or logarithmic axis.

    Attributes:
        low: The value at the left, or at the bottom.
        high: The value at the right, or at the top. It may be less than ``low``.
        ticks: Values that have a grid line and a label of one or more lines.
        lines: Values that have a grid line only.
        log: Whether the axis is logarithmic.
        grid: Whether grid lines are drawn.
        title: Written below the axis.
    """

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...] = ()
    lines: tuple[float, ...] = ()
    log: bool = False
    grid: bool = True
    title: str = ""

    def position(self, value: float) -> float:
        """Return the position of a value: 0 at ``low``, 1 at ``high``."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return (value - low) / (high - low)


@dataclass(frozen=True)
class Point:
    """A point of a series, the ends of its interval, and its tooltip."""

    x: float
    y: float
    low: float
    high: float
    text: str


@dataclass(frozen=True)
class Series:
    """Points that share a name and a look.

    Attributes:
        name: Name in the legend.
        points: The points, in the order of the line through them.
        colour: Colour of line, markers and whiskers.
        marker: Shape of the markers; None for none.
        dash: Index of the dash pattern of the line; None for no line.
        before: Whether it is of an earlier session: a thin line and open markers.
        open: Whether the markers are open.
        sideways: Whether intervals extend along x; else along y.
        caps: Half the length of a whisker's caps, in pixels.
    """

    name: str
    points: tuple[Point, ...]
    colour: Colour
    marker: Marker | None
    dash: int | None = None
    before: bool = False
    open: bool = False
    sideways: bool = False
    caps: int = 3


@dataclass(frozen=True)
class Bar:
    """A rectangle.

    Attributes:
        name: Name in the legend; empty for no entry there.
        x: Left and right end.
        y: Both ends along y.
        look: Class in the style sheet.
        text: Tooltip.
        label: Written into the bar, or beside it where the bar is short.
        whisker: The ends of its whisker along x.
    """

    name: str
    x: tuple[float, float]
    y: tuple[float, float]
    look: str
    text: str = ""
    label: str = ""
    whisker: tuple[float, float] | None = None


@dataclass(frozen=True)
class Rule:
    """A dotted vertical line, with a label above it."""

    x: float
    label: str = ""


@dataclass(frozen=True)
class Label:
    """Lines of text at the left edge of a panel, the first one below ``y``."""

    y: float
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Panel:
    """Two axes and the marks between them, drawn in order; ``height`` is in pixels."""

    height: int
    x: Axis
    y: Axis
    marks: tuple[Series | Bar | Rule | Label, ...]
    heading: str = ""


@dataclass(frozen=True)
class Chart:
    """Panels above one another. ``title`` is the finding, ``text`` how to read it."""

    title: str
    text: str
    panels: tuple[Panel, ...]


def named(series: str, *, before: bool) -> str:
    """Return the name of a series of this session or of the one before."""
    return f"{series}, before" if before else series
