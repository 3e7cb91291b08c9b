"""What the charts have in common: series, axes and dress."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from pytest_pipeline.report.palette import Palette
from pytest_pipeline.report.wording import short

_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_SYMBOLS = ("circle", "square", "triangle-up", "diamond", "cross", "star")
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"
#: How to read what is overlaid.
BEFORE = " Thin lines and open markers are the session before."
#: The factor between two batch sizes whose labels have room on a phone.
_APART = 2.1
#: Below so many decades a log axis has ticks between the powers of ten too.
_FEW_DECADES = 2.2
#: Decades that a log axis has at least, so that noise does not fill it.
_LEAST_SPAN = 1.0


@dataclass(frozen=True)
class Chart:
    """One chart: what it shows, in words, and how it is drawn in some colours.

    ``title`` says what is seen, ``text`` how to read it; neither is markup.
    """

    title: str
    text: str
    draw: Callable[[Palette], go.Figure]


@dataclass(frozen=True)
class Point:
    """One point of a series, between the ends of its interval; ``hover`` is markup."""

    x: float | str
    low: float
    value: float
    high: float
    hover: str


def line(
    name: str,
    points: Sequence[Point],
    colour: str,
    look: int,
    *,
    before: bool = False,
) -> go.Scatter:
    """Return a series; ``look`` chooses its dash and marker.

    That of ``before`` is the same, but thin and with open markers.
    """
    symbol = _SYMBOLS[look]
    return go.Scatter(
        name=name,
        x=[point.x for point in points],
        y=[point.value for point in points],
        mode="lines+markers",
        line={"color": colour, "dash": _DASHES[look], "width": 1.2 if before else 2.5},
        marker={
            "color": colour,
            "symbol": f"{symbol}-open" if before else symbol,
            "size": 9,
        },
        error_y=whiskers(points, colour),
        hovertext=[point.hover for point in points],
        hoverinfo="text",
    )


def named(series: str, *, before: bool) -> str:
    """Return the name of a series, as it is now or was before."""
    return f"{series}, before" if before else series


def whiskers(points: Sequence[Point], colour: str, caps: int = 3) -> dict[str, object]:
    """Return error bars with ``caps`` of so many pixels to each side.

    Shorter than the marker they stay behind it.
    """
    return {
        "type": "data",
        "symmetric": False,
        "array": [point.high - point.value for point in points],
        "arrayminus": [point.value - point.low for point in points],
        "visible": any(point.high > point.low for point in points),
        "color": colour,
        "thickness": 1.5,
        "width": caps,
    }


def marked(figure: go.Figure, x: float, text: str, palette: Palette) -> None:
    """Draw a line down at ``x`` of a log axis, with ``text`` above it."""
    figure.add_shape(
        type="line",
        xref="x",
        yref="paper",
        x0=x,
        x1=x,
        y0=0,
        y1=1,
        line={"color": palette.muted, "width": 1.5, "dash": "dot"},
        layer="below",
    )
    figure.add_annotation(
        xref="x",
        yref="paper",
        # Unlike a shape, an annotation of a log axis lies at the logarithm.
        x=math.log10(x),
        y=1,
        yanchor="bottom",
        text=text,
        showarrow=False,
    )


def batch_size_axis(figure: go.Figure, sizes: Iterable[int], palette: Palette) -> None:
    """Make x a log axis with a line at each batch size, and labels that have room."""
    lines = sorted(sizes, reverse=True)
    ticks: list[int] = []
    for size in lines:
        if not ticks or ticks[-1] / size > _APART:
            ticks.append(size)
    figure.update_xaxes(
        type="log",
        title_text="batch size (records in a message)",
        tickvals=ticks,
        ticktext=[short(tick) for tick in ticks],
        minor={"tickvals": lines, "showgrid": True, "gridcolor": palette.grid},
    )


def log_ticks(values: Iterable[float]) -> list[float]:
    """Return round numbers around these values, not too many for an axis."""
    known = [value for value in values if value > 0]
    if not known:
        return []
    low, high = math.log10(min(known)), math.log10(max(known))
    steps = (1, 2, 5) if high - low < _FEW_DECADES else (1,)
    ticks = [
        float(f"{step}e{decade}")
        for decade in range(math.floor(low), math.ceil(high) + 1)
        for step in steps
    ]
    # One beyond each end, so that every value lies between two of them.
    first = max(bisect_right(ticks, min(known)) - 1, 0)
    return ticks[first : bisect_left(ticks, max(known)) + 1]


def log_range(values: Iterable[float]) -> tuple[float, float]:
    """Return the ends of a log axis with room around these values, as logarithms."""
    known = [math.log10(value) for value in values]
    low, high = min(known), max(known)
    room = max(0.1, (_LEAST_SPAN - (high - low)) / 2)
    return low - room, high + room


def heading(figure: go.Figure, text: str, y: float) -> None:
    """Write ``text`` above the panel whose top is at ``y`` of the paper."""
    figure.add_annotation(
        xref="paper",
        yref="paper",
        x=0,
        y=y,
        xanchor="left",
        yanchor="bottom",
        align="left",
        text=f"<b>{text}</b>",
        showarrow=False,
    )


def styled(
    figure: go.Figure, palette: Palette, height: int, top: int = 28
) -> go.Figure:
    """Dress a finished figure in the colours; it has as much width as there is.

    ``top`` are the pixels above the first panel.
    """
    figure.update_xaxes(
        gridcolor=palette.grid,
        linecolor=palette.muted,
        zerolinecolor=palette.grid,
        title={"standoff": 8, "font": {"size": 13}},
        tickfont={"size": 11},
        automargin=True,
        tickangle=0,
        # A finger on a chart scrolls the page.
        fixedrange=True,
    )
    figure.update_yaxes(
        gridcolor=palette.grid,
        linecolor=palette.muted,
        zerolinecolor=palette.grid,
        automargin=True,
        fixedrange=True,
    )
    # Else plotly's own comes with each figure.
    figure.layout.template = {}
    return figure.update_layout(
        height=height,
        autosize=True,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": _FONT, "size": 13, "color": palette.text},
        margin={"l": 8, "r": 18, "t": top, "b": 8},
        hovermode="closest",
        dragmode=False,
        hoverlabel={
            "bgcolor": palette.paper,
            "bordercolor": palette.muted,
            "font": {"family": _FONT, "size": 13, "color": palette.text},
            "align": "left",
        },
        legend={
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "yref": "container",
            "y": 0,
            "yanchor": "bottom",
            "itemclick": "toggle",
        },
    )
