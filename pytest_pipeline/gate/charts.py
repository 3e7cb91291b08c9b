"""The gate's charts: the change of each benchmark's time, and its samples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pytest_pipeline.gate.verdict import BenchmarkResult, GateVerdict, Quartiles
from pytest_pipeline.measure.results import Interval
from pytest_pipeline.report.charts.model import (
    Axis,
    Bar,
    Chart,
    Colour,
    Marker,
    Panel,
    Point,
    Rule,
    Series,
)
from pytest_pipeline.report.charts.rows import Rows, wrapped
from pytest_pipeline.report.formatting import change, duration

#: How a verdict is drawn: colour, marker, and whether that is open.
_LOOKS: dict[GateVerdict, tuple[Colour, Marker, bool]] = {
    "regressed": ("orange", "cross", False),
    "inconclusive": ("purple", "diamond", True),
    "improved": ("blue", "left", False),
    "ok": ("green", "circle", False),
}
#: Height of the marks of a row, in pixels.
_CHANGE_ROOM, _SECONDS_ROOM = 24, 38
#: Distance of old and new from the middle of a row, in pixels.
_ASIDE = 9
#: Half the height of a bar, in pixels.
_HALF_BAR = 4.5
#: Candidates for ticks, the roundest first.
_ROUND_RATIOS = (
    *(1, 2, 0.5, 1.5, 0.75, 10, 0.1, 5, 0.2, 1.2, 0.8, 1.1, 0.9, 1.05, 0.95),
    *(1.02, 0.98, 1.01, 0.99, 3, 1.15, 0.85, 100, 0.01, 30, 0.03),
)
#: Margin of the axis if all samples are equal, as the logarithm of a ratio.
_LEAST_MARGIN = 0.01
#: Share of the axis that a label takes up on a phone.
_TICK_ROOM = 0.16


@dataclass(frozen=True)
class MeasuredRow:
    """A measured benchmark, as the charts show it."""

    name: str
    #: Without the folder or file that all benchmarks share.
    short: str
    verdict: GateVerdict
    threshold: float
    noise_floor: float
    ratio: Interval
    old_s: Quartiles
    new_s: Quartiles
    rounds: int


def measured_rows(
    benchmarks: Iterable[BenchmarkResult], place: str
) -> list[MeasuredRow]:
    """Return the benchmarks that were measured, the one that slowed down most first.

    ``place`` is the beginning that all names share.
    """
    measured = [
        MeasuredRow(
            one.name,
            one.name.removeprefix(place),
            one.verdict,
            one.threshold,
            one.noise_floor,
            one.ratio,
            one.old_s,
            one.new_s,
            one.rounds,
        )
        for one in benchmarks
        if one.ratio and one.noise_floor and one.old_s and one.new_s
    ]
    return sorted(measured, key=lambda row: -row.ratio.value)


def changes(rows: Sequence[MeasuredRow]) -> Chart:
    """Return the change of each benchmark, with threshold and noise floor."""
    layout = Rows([row.short for row in rows], room=_CHANGE_ROOM)
    ends = [
        end
        for row in rows
        for beyond in (1 + row.threshold, row.noise_floor)
        for end in (row.ratio.low, row.ratio.high, beyond, 1 / beyond)
    ]
    bands = [
        Bar(
            "within the threshold",
            (1 / (1 + row.threshold), 1 + row.threshold),
            span,
            "band",
        )
        for row, span in zip(rows, layout.spans, strict=True)
    ]
    floors = tuple(
        Point(end, middle, end, end, "")
        for row, middle in zip(rows, layout.middles, strict=True)
        for end in (1 / row.noise_floor, row.noise_floor)
    )
    series = [Series("A/A noise floor", floors, "text", "stroke")]
    for verdict, (colour, marker, is_open) in _LOOKS.items():
        points = tuple(
            _change_point(middle, row)
            for middle, row in zip(layout.middles, rows, strict=True)
            if row.verdict == verdict
        )
        if points:
            series.append(
                Series(
                    verdict,
                    points,
                    colour,
                    marker,
                    open=is_open,
                    sideways=True,
                    caps=6,
                )
            )
    x = _percent_axis(ends, "change of the time of a call")
    return Chart(
        _changes_title(rows),
        "How much longer a call takes at the new revision, with the interval. Within "
        "the grey band a change is below the benchmark's threshold; the two strokes "
        "are the A/A noise floor. A change is claimed beyond both.",
        (
            Panel(
                layout.height,
                x,
                layout.axis,
                (*bands, Rule(1), *layout.labels, *series),
            ),
        ),
    )


def seconds(rows: Sequence[MeasuredRow]) -> Chart:
    """Return the samples of the old revision above those of the new one."""
    layout = Rows(
        [f"{row.short}: {_change(row.old_s.median, row.new_s.median)}" for row in rows],
        room=_SECONDS_ROOM,
    )
    marks: list[Bar | Series] = []
    colour: Colour
    for which, colour, aside in (("old", "muted", -_ASIDE), ("new", "blue", _ASIDE)):
        points = []
        for middle, row in zip(layout.middles, rows, strict=True):
            of = row.old_s if which == "old" else row.new_s
            old, y = row.old_s.median, middle + aside
            half = of.q1 / old, of.q3 / old
            marks.append(
                Bar("", half, (y - _HALF_BAR, y + _HALF_BAR), f"half {colour}")
            )
            points.append(
                Point(
                    of.median / old,
                    y,
                    of.minimum / old,
                    of.maximum / old,
                    _seconds_text(row.name, which, of),
                )
            )
        marks.append(
            Series(
                f"{which} revision",
                tuple(points),
                colour,
                "stroke",
                sideways=True,
                caps=4,
            )
        )
    ends = [
        end / row.old_s.median
        for row in rows
        for of in (row.old_s, row.new_s)
        for end in (of.minimum, of.maximum)
    ]
    x = _percent_axis(ends, "time of a call against the old median")
    return Chart(
        _seconds_title(rows),
        "The samples of the old revision and, below it, of the new one, each against "
        "the old median. The stroke is the median, in seconds beside the name; the bar "
        "holds half of the samples, the line all. Verdicts rest on the ratios of "
        "rounds, not on these.",
        (Panel(layout.height, x, layout.axis, (*layout.labels, *marks)),),
    )


def percent_ticks(low: float, high: float) -> list[float]:
    """Return round ratios from ``low`` to ``high`` whose labels do not overlap."""
    apart = _TICK_ROOM * math.log(high / low)
    ticks: list[float] = []
    for ratio in _ROUND_RATIOS:
        if low <= ratio <= high and all(
            abs(math.log(ratio / tick)) >= apart for tick in ticks
        ):
            ticks.append(ratio)
    return sorted(ticks)


def _percent_axis(ratios: Sequence[float], title: str) -> Axis:
    """Return a log axis around these ratios, labelled as changes."""
    margin = max(_LEAST_MARGIN, 0.04 * math.log(max(ratios) / min(ratios)))
    low, high = min(ratios) * math.exp(-margin), max(ratios) * math.exp(margin)
    ticks = tuple((tick, _tick(tick)) for tick in percent_ticks(low, high))
    return Axis(low, high, ticks, log=True, title=title)


def _tick(ratio: float) -> str:
    return f"{(ratio - 1) * 100:+.0f} %" if ratio != 1 else "0 %"


def _changes_title(rows: Sequence[MeasuredRow]) -> str:
    verdicts = [row.verdict for row in rows]
    return ", ".join(
        f"{verdicts.count(verdict)} {verdict}"
        for verdict in _LOOKS
        if verdict in verdicts
    )


def _change(old_s: float, new_s: float) -> str:
    # No-break spaces keep it in one piece where the line is wrapped.
    return f"{duration(old_s)} → {duration(new_s)}".replace(" ", "\N{NO-BREAK SPACE}")


def _seconds_title(rows: Sequence[MeasuredRow]) -> str:
    most = max(rows, key=lambda row: abs(math.log(row.ratio.value)))
    return (
        f"Most changed: a call of {most.short} takes "
        f"{duration(most.new_s.median)}, {duration(most.old_s.median)} before"
    )


def _change_point(middle: float, row: MeasuredRow) -> Point:
    ratio = row.ratio
    lines = (
        *wrapped(row.name, lines=6),
        (
            f"{row.verdict}: {change(ratio.value)} ({change(ratio.low)} to "
            f"{change(ratio.high)}), {row.rounds} rounds"
        ),
        f"threshold {change(1 + row.threshold)}, A/A {change(row.noise_floor)}",
    )
    return Point(ratio.value, middle, ratio.low, ratio.high, "\n".join(lines))


def _seconds_text(name: str, which: str, of: Quartiles) -> str:
    lines = (
        *wrapped(name, lines=6),
        f"{which}: {duration(of.median)} a call",
        (
            f"half of the samples {duration(of.q1)} to {duration(of.q3)}, all "
            f"{duration(of.minimum)} to {duration(of.maximum)}"
        ),
    )
    return "\n".join(lines)
