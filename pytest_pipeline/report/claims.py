"""The chart of comparisons: each ratio with its interval, by verdict."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from pytest_pipeline.measure.results import Compared
from pytest_pipeline.report.drawing import Chart, Point, log_ticks, styled, whiskers
from pytest_pipeline.report.palette import Palette
from pytest_pipeline.report.rows import Rows, wrapped
from pytest_pipeline.report.tables import question, verdict
from pytest_pipeline.report.wording import count, times

#: How a verdict is drawn, by its sign: an index of the palette's series, and a marker.
_VERDICTS = {"✓": (2, "circle"), "?": (3, "diamond-open"), "✗": (1, "x")}
#: What a marker needs below its label, in lines of text.
_MARKER_LINES = 1.8


def claims(compared: Sequence[tuple[str, Compared]]) -> Chart | None:
    """Return the ratio of each comparison with its interval, by verdict."""
    if not compared:
        return None
    rows = Rows([question(one) for _, one in compared], lines=3, room=_MARKER_LINES)

    def draw(palette: Palette) -> go.Figure:
        figure = go.Figure()
        for sign, (look, symbol) in _VERDICTS.items():
            chosen = [
                (row, one)
                for row, (_, one) in zip(rows.marks, compared, strict=True)
                if verdict(one).startswith(sign)
            ]
            if chosen:
                colour = palette.series[look]
                figure.add_trace(_markers(chosen, colour, symbol))
        rows.write(figure, palette)
        figure.add_shape(
            type="line",
            xref="x",
            yref="paper",
            x0=1,
            x1=1,
            y0=0,
            y1=1,
            line={"color": palette.text, "width": 1.5, "dash": "dot"},
            layer="below",
        )
        ticks = log_ticks(
            [
                1,
                *(
                    end
                    for _, one in compared
                    for end in (one.ratio.low, one.ratio.high)
                ),
            ]
        )
        figure.update_xaxes(
            type="log",
            title_text="times as fast",
            tickvals=ticks,
            ticktext=list(map(count, ticks)),
        )
        return styled(figure, palette, height=rows.height)

    return Chart(
        _title([one for _, one in compared]),
        "How many times as fast the first is as the second, with the interval, on a "
        "log axis.",
        draw,
    )


def _title(compared: Sequence[Compared]) -> str:
    hold = sum(one.outcome == one.claim for one in compared)
    unclear = sum(one.outcome == "inconclusive" for one in compared)
    said = f"Comparisons: {hold} of {len(compared)} claims hold"
    return f"{said}, {unclear} inconclusive" if unclear else said


def _markers(
    chosen: Sequence[tuple[float, Compared]], colour: str, symbol: str
) -> go.Scatter:
    points = [
        Point(
            one.ratio.value,
            one.ratio.low,
            one.ratio.value,
            one.ratio.high,
            f"{wrapped(question(one), lines=6)}<br>"
            f"<b>{verdict(one)}</b>: {times(one.ratio.value)} "
            f"({times(one.ratio.low)} to {times(one.ratio.high)} at "
            f"{one.ratio.confidence:.0%}), {one.rounds} rounds",
        )
        for _, one in chosen
    ]
    return go.Scatter(
        name=verdict(chosen[0][1]),
        showlegend=True,
        mode="markers",
        x=[point.x for point in points],
        y=[row for row, _ in chosen],
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
