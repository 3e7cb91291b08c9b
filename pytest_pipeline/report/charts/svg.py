"""Charts as SVG that needs no script: every point has its values as a tooltip.

Horizontal positions are percentages and vertical ones pixels, so that a chart fills any
width and its text keeps its size. Colours are classes that ``page.css`` defines for
light and for dark pages.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from pytest_pipeline.report.charts.model import (
    Axis,
    Bar,
    Chart,
    Label,
    Marker,
    Panel,
    Point,
    Rule,
    Series,
)

#: Paths around the middle of a point.
_MARKERS: dict[Marker, str] = {
    "circle": "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z",
    "square": "M-4 -4h8v8h-8z",
    "triangle": "M0 -5.5L5 4H-5z",
    "diamond": "M0 -6L5 0L0 6L-5 0z",
    "plus": "M-5 -1.5h3.5v-3.5h3v3.5h3.5v3h-3.5v3.5h-3v-3.5h-3.5z",
    "star": "M0 -6.5L1.8 -2H6.5L2.8 1L4 6L0 3L-4 6L-2.8 1L-6.5 -2H-1.8z",
    "cross": "M-5 -5L5 5M-5 5L5 -5",
    "left": "M-6 0L4.5 -5.5V5.5z",
    "stroke": "M0 -7V7",
}
#: Pixels of a line of text, of an axis title, and of a tick's label per character.
_LINE, _TITLE, _CHARACTER = 16, 20, 7
#: The share of the width that a bar needs to have its label inside.
_ROOMY = 0.3


def chart_html(chart: Chart) -> str:
    """Return the panels of a chart, and below them its legend."""
    labels = [label for panel in chart.panels for _, label in panel.y.ticks]
    margin = round(8 + _CHARACTER * max(map(len, labels))) if labels else 0
    panels = "".join(map(_panel, chart.panels))
    return (
        f'<div class="panels" style="margin-left: {margin}px">{panels}</div>'
        f"{_legend(chart)}"
    )


def _panel(panel: Panel) -> str:
    heading = panel.heading.split("\n") if panel.heading else []
    has_rule_label = any(isinstance(mark, Rule) and mark.label for mark in panel.marks)
    above = 12 + _LINE * len(heading) + _TITLE * has_rule_label
    below = 8 + _LINE * _tick_lines(panel.x) + _TITLE * bool(panel.x.title)
    drawn = [
        *(
            _text(line, "0", 8 - above + _LINE * number, "heading")
            for number, line in enumerate(heading)
        ),
        *_x_axis(panel),
        *_y_axis(panel),
        *(_mark(mark, panel) for mark in panel.marks),
    ]
    return (
        f'<svg class="panel" height="{panel.height}" '
        f'style="margin: {above}px 0 {below}px">{"".join(drawn)}</svg>'
    )


def _tick_lines(axis: Axis) -> int:
    return max((text.count("\n") + 1 for _, text in axis.ticks), default=0)


def _x_axis(panel: Panel) -> Iterable[str]:
    axis, bottom = panel.x, panel.height
    values = {value for value, _ in axis.ticks} | set(axis.lines) if axis.grid else ()
    for value in sorted(values):
        at = _across(axis, value)
        yield f'<line class="grid" x1="{at}" x2="{at}" y2="{bottom}"/>'
    for value, text in axis.ticks:
        at = _across(axis, value)
        for number, line in enumerate(text.split("\n"), 1):
            yield _text(line, at, bottom + 2 + _LINE * number, "tick middle")
    if axis.title:
        down = bottom + 6 + _LINE * (_tick_lines(axis) + 1)
        yield _text(axis.title, "50%", down, "middle")


def _y_axis(panel: Panel) -> Iterable[str]:
    for value, text in panel.y.ticks:
        at = _down(panel, value)
        if panel.y.grid:
            yield f'<line class="grid" x2="100%" y1="{at}" y2="{at}"/>'
        yield _text(text, "-8", at + 4, "tick end")


def _mark(mark: Series | Bar | Rule | Label, panel: Panel) -> str:
    if isinstance(mark, Series):
        return _series(mark, panel)
    if isinstance(mark, Bar):
        return _bar(mark, panel)
    if isinstance(mark, Rule):
        at = _across(panel.x, mark.x)
        line = f'<line class="rule" x1="{at}" x2="{at}" y2="{panel.height}"/>'
        return line + (_text(mark.label, at, -6, "middle") if mark.label else "")
    top = _down(panel, mark.y)
    return "".join(
        _text(line, "3", top + _LINE * number - 4, "name")
        for number, line in enumerate(mark.lines, 1)
    )


def _series(series: Series, panel: Panel) -> str:
    line = ""
    if series.dash is not None:
        # The inner viewBox stretches the line; the style sheet keeps its stroke width.
        points = " ".join(
            f"{_number(1000 * panel.x.position(point.x))},{_down(panel, point.y)}"
            for point in series.points
        )
        line = (
            f'<svg viewBox="0 0 1000 {panel.height}" preserveAspectRatio="none" '
            f'width="100%" height="{panel.height}"><polyline points="{points}" '
            f'class="line dash-{series.dash}"/></svg>'
        )
    points = "".join(_point(point, series, panel) for point in series.points)
    return (
        f'<g class="series {_classes(series)}" '
        f'data-name="{escape(series.name)}">{line}{points}</g>'
    )


def _point(point: Point, series: Series, panel: Panel) -> str:
    x, y, caps = _across(panel.x, point.x), _down(panel, point.y), series.caps
    whisker = inner = ""
    if point.low < point.high and series.sideways:
        whisker = _whisker((point.low, point.high), panel.x, y, caps)
    elif point.low < point.high:
        low, high = _down(panel, point.low), _down(panel, point.high)
        ends = f"M{-caps} {low}h{2 * caps}M{-caps} {high}h{2 * caps}"
        inner = f'<path class="whisker" d="M0 {low}V{high}{ends}"/>'
    if series.marker is not None:
        inner += (
            f'<path class="marker" transform="translate(0 {y})" '
            f'd="{_MARKERS[series.marker]}"/>'
        )
    if not point.text:
        return f'<g>{whisker}<svg x="{x}">{inner}</svg></g>'
    return (
        f'<g class="point"><title>{escape(point.text)}</title>{whisker}'
        f'<svg x="{x}">{inner}<circle class="touch" cy="{y}" r="10"/></svg></g>'
    )


def _whisker(ends: tuple[float, float], x: Axis, y: float, caps: int) -> str:
    """Return a horizontal whisker with caps of ``caps`` pixels above and below."""
    low, high = (_across(x, end) for end in ends)
    top, bottom = _number(y - caps), _number(y + caps)
    return (
        f'<line class="whisker" x1="{low}" x2="{high}" y1="{y}" y2="{y}"/>'
        f'<line class="whisker" x1="{low}" x2="{low}" y1="{top}" y2="{bottom}"/>'
        f'<line class="whisker" x1="{high}" x2="{high}" y1="{top}" y2="{bottom}"/>'
    )


def _bar(bar: Bar, panel: Panel) -> str:
    left, right = (panel.x.position(end) for end in bar.x)
    top, bottom = sorted(_down(panel, end) for end in bar.y)
    middle = _number((top + bottom) / 2)
    box = (
        f'x="{_percent(left)}" width="{_percent(right - left)}" '
        f'y="{top}" height="{_number(bottom - top)}"'
    )
    drawn = f'<rect class="fill" {box}/><rect class="hatch" {box}/>'
    if bar.whisker is not None:
        drawn += _whisker(bar.whisker, panel.x, middle, caps=5)
    if bar.label:
        if right - left > _ROOMY:
            drawn += _text(bar.label, _percent(left), middle + 4, "inside", dx=6)
        else:
            end = _across(panel.x, max(bar.x[1], *(bar.whisker or ())))
            drawn += _text(bar.label, end, middle + 4, "tick", dx=10)
    title = f"<title>{escape(bar.text)}</title>" if bar.text else ""
    return (
        f'<g class="bar {bar.look}" data-name="{escape(bar.name)}">{title}{drawn}</g>'
    )


def _legend(chart: Chart) -> str:
    """Return an entry for each name of series and bars, in order of appearance."""
    named: dict[str, Series | Bar] = {}
    for panel in chart.panels:
        for mark in panel.marks:
            if isinstance(mark, Series | Bar) and mark.name:
                named.setdefault(mark.name, mark)
    items = "".join(
        f'<li><svg width="28" height="16" aria-hidden="true">{_swatch(mark)}</svg>'
        f"{escape(name)}</li>"
        for name, mark in named.items()
    )
    return f'<ul class="legend">{items}</ul>' if items else ""


def _swatch(mark: Series | Bar) -> str:
    if isinstance(mark, Bar):
        box = 'x="4" y="2" width="20" height="12"'
        inner = f'<g class="bar {mark.look}"><rect class="fill" {box}/>'
        return f'{inner}<rect class="hatch" {box}/></g>'
    line = ""
    if mark.dash is not None:
        line = f'<path class="line dash-{mark.dash}" d="M0 8H28"/>'
    if mark.marker is not None:
        path = _MARKERS[mark.marker]
        line += f'<path class="marker" transform="translate(14 8)" d="{path}"/>'
    return f'<g class="series {_classes(mark)}">{line}</g>'


def _classes(series: Series) -> str:
    is_open = series.open or series.before
    return (
        f"{series.colour}{' open' if is_open else ''}"
        f"{' before' if series.before else ''}"
    )


def _text(text: str, x: str, y: float, classes: str, dx: float = 0) -> str:
    """Return text at ``x``, a percentage, moved ``dx`` pixels to the right."""
    shift = f' dx="{dx}"' if dx else ""
    return (
        f'<text class="{classes}" x="{x}" y="{_number(y)}"{shift}>{escape(text)}</text>'
    )


def _across(axis: Axis, value: float) -> str:
    return _percent(axis.position(value))


def _down(panel: Panel, value: float) -> float:
    return _number(panel.height * (1 - panel.y.position(value)))


def _percent(share: float) -> str:
    return f"{_number(100 * share):g}%"


def _number(value: float) -> float:
    return round(value, 2)
