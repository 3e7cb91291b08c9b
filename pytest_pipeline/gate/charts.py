"""The gate's charts: how the time of a call has changed, and what it is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from pytest_pipeline.gate.percent import percent
from pytest_pipeline.gate.verdict import BenchmarkResult, GateVerdict, Quartiles
from pytest_pipeline.measure.results import Interval
from pytest_pipeline.report.drawing import Chart, Point, styled, whiskers
from pytest_pipeline.report.palette import Palette
from pytest_pipeline.report.rows import Rows, wrapped
from pytest_pipeline.report.wording import duration

#: How a verdict is drawn: an index of the palette's series, and a marker.
_VERDICTS: dict[GateVerdict, tuple[int, str]] = {
    "regressed": (1, "x"),
    "inconclusive": (3, "diamond-open"),
    "improved": (0, "triangle-left"),
    "ok": (2, "circle"),
}
#: What there is room for, in lines of text.
_CHANGE_LINES, _SECONDS_LINES = 1.8, 2.6
#: By how much old and new lie apart in a row.
_ASIDE = 0.42
#: Ratios that make good ticks, the roundest first.
_ROUND_RATIOS = (
    *(1, 2, 0.5, 1.5, 0.75, 10, 0.1, 5, 0.2, 1.2, 0.8, 1.1, 0.9, 1.05, 0.95),
    *(1.02, 0.98, 1.01, 0.99, 3, 1.15, 0.85, 100, 0.01, 30, 0.03),
)
#: Around what does not differ at all, as the logarithm of a ratio.
_LEAST_MARGIN = 0.01
#: Share of the axis that a tick's label needs on a phone.
_TICK_ROOM = 0.16


@dataclass(frozen=True)
class Row:
    """A benchmark that was measured, and what charts say of it."""

    name: str
    #: Without the place that all are in.
    short: str
    verdict: GateVerdict
    threshold: float
    floor: float
    ratio: Interval
    old_s: Quartiles
    new_s: Quartiles
    rounds: int


def rows_of(benchmarks: Iterable[BenchmarkResult], place: str) -> list[Row]:
    """Return those that were measured, from the most slowed down to the most sped up.

    ``place`` is where all of them are.
    """
    measured = [
        Row(
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


def changes(rows: Sequence[Row]) -> Chart:
    """Return how much longer each takes, with threshold and A/A floor, by verdict."""
    layout = Rows([row.short for row in rows], lines=3, room=_CHANGE_LINES)
    ends = [
        end
        for row in rows
        for beyond in (1 + row.threshold, row.floor)
        for end in (row.ratio.low, row.ratio.high, beyond, 1 / beyond)
    ]

    def draw(palette: Palette) -> go.Figure:
        figure = go.Figure()
        for number, (row, (top, bottom)) in enumerate(
            zip(rows, layout.spans, strict=True)
        ):
            figure.add_shape(
                type="rect",
                name="within the threshold",
                showlegend=not number,
                x0=1 / (1 + row.threshold),
                x1=1 + row.threshold,
                y0=top,
                y1=bottom,
                fillcolor=palette.grid,
                line={"width": 0},
                layer="below",
            )
        figure.add_shape(
            type="line",
            yref="paper",
            x0=1,
            x1=1,
            y0=0,
            y1=1,
            line={"color": palette.text, "width": 1.5, "dash": "dot"},
            layer="below",
        )
        figure.add_trace(_floors(rows, layout, palette))
        for verdict, (look, symbol) in _VERDICTS.items():
            chosen = [
                (at, row)
                for at, row in zip(layout.marks, rows, strict=True)
                if row.verdict == verdict
            ]
            if chosen:
                colour = palette.series[look]
                figure.add_trace(_markers(verdict, chosen, colour, symbol))
        _percent_axis(figure, ends, "change of the time of a call")
        layout.write(figure, palette)
        return styled(figure, palette, height=layout.height)

    return Chart(
        _changes_title(rows),
        "How much longer a call takes at the new revision, with the interval. Within "
        "the grey band a change is below the benchmark's threshold; the two strokes "
        "are the A/A noise floor. A change is claimed beyond both.",
        draw,
    )


def seconds(rows: Sequence[Row]) -> Chart:
    """Return the samples of the old and of the new revision, one above the other."""
    layout = Rows(
        [f"{row.short}: {_change(row.old_s.median, row.new_s.median)}" for row in rows],
        lines=3,
        room=_SECONDS_LINES,
    )

    def draw(palette: Palette) -> go.Figure:
        figure = go.Figure()
        for which, colour, aside in (
            ("old", palette.muted, -_ASIDE),
            ("new", palette.series[0], _ASIDE),
        ):
            at = [mark + aside for mark in layout.marks]
            samples = [
                (row, row.old_s if which == "old" else row.new_s) for row in rows
            ]
            figure.add_trace(_halves(which, samples, at, colour))
            figure.add_trace(_medians(which, samples, at, colour))
        _percent_axis(
            figure,
            [
                end / row.old_s.median
                for row in rows
                for of in (row.old_s, row.new_s)
                for end in (of.minimum, of.maximum)
            ],
            "time of a call against the old median",
        )
        layout.write(figure, palette)
        return styled(figure, palette, height=layout.height)

    return Chart(
        _seconds_title(rows),
        "The samples of the old revision and, below it, of the new one, each against "
        "the old median. The stroke is the median, told in seconds beside the name; "
        "the bar holds half of the samples, the line all. They are recorded and never "
        "judged: verdicts rest on the ratios of rounds.",
        draw,
    )


def percent_ticks(low: float, high: float) -> list[float]:
    """Return round ratios between these two that have room beside each other."""
    apart = _TICK_ROOM * math.log(high / low)
    ticks: list[float] = []
    for ratio in _ROUND_RATIOS:
        if low <= ratio <= high and all(
            abs(math.log(ratio / tick)) >= apart for tick in ticks
        ):
            ticks.append(ratio)
    return sorted(ticks)


def _percent_axis(figure: go.Figure, ratios: Sequence[float], title: str) -> None:
    """Make x a log axis of ratios, with room around these, labelled as changes."""
    margin = max(_LEAST_MARGIN, 0.04 * math.log(max(ratios) / min(ratios)))
    low, high = min(ratios) * math.exp(-margin), max(ratios) * math.exp(margin)
    ticks = percent_ticks(low, high)
    figure.update_xaxes(
        type="log",
        range=[math.log10(low), math.log10(high)],
        title_text=title,
        tickvals=ticks,
        ticktext=[_tick(tick) for tick in ticks],
    )


def _tick(ratio: float) -> str:
    return f"{(ratio - 1) * 100:+.0f} %" if ratio != 1 else "0 %"


def _changes_title(rows: Sequence[Row]) -> str:
    verdicts = [row.verdict for row in rows]
    return ", ".join(
        f"{verdicts.count(verdict)} {verdict}"
        for verdict in _VERDICTS
        if verdict in verdicts
    )


def _change(old_s: float, new_s: float) -> str:
    # In one piece, wherever the line is wrapped.
    return f"{duration(old_s)} → {duration(new_s)}".replace(" ", "\N{NO-BREAK SPACE}")


def _seconds_title(rows: Sequence[Row]) -> str:
    most = max(rows, key=lambda row: abs(math.log(row.ratio.value)))
    return (
        f"Most changed: a call of {most.short} takes "
        f"{duration(most.new_s.median)}, {duration(most.old_s.median)} before"
    )


def _floors(rows: Sequence[Row], layout: Rows, palette: Palette) -> go.Scatter:
    return go.Scatter(
        name="A/A noise floor",
        showlegend=True,
        mode="markers",
        x=[end for row in rows for end in (1 / row.floor, row.floor)],
        y=[mark for mark in layout.marks for _ in range(2)],
        marker={
            "symbol": "line-ns-open",
            "size": 13,
            "color": palette.text,
            "line": {"color": palette.text, "width": 1.5},
        },
        hoverinfo="skip",
    )


def _markers(
    verdict: GateVerdict,
    chosen: Sequence[tuple[float, Row]],
    colour: str,
    symbol: str,
) -> go.Scatter:
    points = [
        Point(
            row.ratio.value,
            row.ratio.low,
            row.ratio.value,
            row.ratio.high,
            f"{wrapped(row.name, lines=6)}<br><b>{verdict}</b>: "
            f"{percent(row.ratio.value)} ({percent(row.ratio.low)} to "
            f"{percent(row.ratio.high)}), {row.rounds} rounds<br>"
            f"threshold {percent(1 + row.threshold)}, A/A {percent(row.floor)}",
        )
        for _, row in chosen
    ]
    return go.Scatter(
        name=verdict,
        showlegend=True,
        mode="markers",
        x=[point.x for point in points],
        y=[at for at, _ in chosen],
        marker={
            "color": colour,
            "symbol": symbol,
            "size": 12,
            "line": {"color": colour, "width": 2},
        },
        error_x=whiskers(points, colour, caps=6),
        hovertext=[point.hover for point in points],
        hoverinfo="text",
    )


def _halves(
    which: str,
    samples: Sequence[tuple[Row, Quartiles]],
    at: Sequence[float],
    colour: str,
) -> go.Scatter:
    """Return a bar from the first to the third quartile of each."""
    return go.Scatter(
        name=which,
        legendgroup=which,
        showlegend=False,
        mode="lines",
        # None ends a bar.
        x=[
            end and end / row.old_s.median
            for row, of in samples
            for end in (of.q1, of.q3, None)
        ],
        y=[end for y in at for end in (y, y, None)],
        line={"color": colour, "width": 9},
        opacity=0.5,
        hoverinfo="skip",
    )


def _medians(
    which: str,
    samples: Sequence[tuple[Row, Quartiles]],
    at: Sequence[float],
    colour: str,
) -> go.Scatter:
    """Return a stroke at the median of each, in a line from the least to the most."""
    points = [
        Point(
            of.median / row.old_s.median,
            of.minimum / row.old_s.median,
            of.median / row.old_s.median,
            of.maximum / row.old_s.median,
            f"{wrapped(row.name, lines=6)}<br><b>{which}</b>: {duration(of.median)} "
            f"a call<br>half of the samples {duration(of.q1)} to {duration(of.q3)}, "
            f"all {duration(of.minimum)} to {duration(of.maximum)}",
        )
        for row, of in samples
    ]
    return go.Scatter(
        name=f"{which} revision",
        legendgroup=which,
        showlegend=True,
        mode="markers",
        x=[point.x for point in points],
        y=list(at),
        marker={
            "color": colour,
            "symbol": "line-ns-open",
            "size": 13,
            "line": {"color": colour, "width": 2.5},
        },
        error_x=whiskers(points, colour, caps=4),
        hovertext=[point.hover for point in points],
        hoverinfo="text",
    )
