"""The charts of what batching, more servers and other transports gain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pytest_pipeline.measure.results import Measured
from pytest_pipeline.report.answers import (
    Work,
    by_kind,
    crossover,
    server_count,
    servers,
    speed_of,
    with_speed,
)
from pytest_pipeline.report.drawing import (
    BEFORE,
    Chart,
    Point,
    heading,
    line,
    log_ticks,
    marked,
    named,
    styled,
    whiskers,
)
from pytest_pipeline.report.palette import Palette
from pytest_pipeline.report.wording import between, count, share, short, times


def work(points: Sequence[Work], before: Sequence[Work] = ()) -> Chart | None:
    """Return what batching gains, and processing's share, against work per record.

    ``before`` are the points of an earlier session.
    """
    if not points:
        return None
    half = crossover(points)

    def draw(palette: Palette) -> go.Figure:
        figure = make_subplots(
            rows=2, shared_xaxes=True, vertical_spacing=0.1, row_heights=[0.58, 0.42]
        )
        for row, (name, series) in enumerate(
            (("gain from batching", _gains), ("processing's share of CPU", _shares)), 1
        ):
            for side in filter(None, (points, before)):
                is_before = side is before
                trace = line(
                    named(name, before=is_before),
                    series(named(name, before=is_before), side),
                    palette.series[row - 1],
                    row - 1,
                    before=is_before,
                )
                figure.add_trace(trace, row, 1)
        if half is not None:
            marked(figure, half, f"crossover: {_about(half)}", palette)
        figure.update_xaxes(type="log", dtick=1, tickformat="~s")
        figure.update_xaxes(title_text="iterations (work in a record)", row=2)
        ticks = log_ticks(point.compared.ratio.value for point in [*points, *before])
        figure.update_yaxes(
            type="log",
            tickvals=ticks,
            ticktext=[f"{count(tick)} ×" for tick in ticks],
            row=1,
        )
        figure.update_yaxes(range=[0, 1.02], tickformat=".0%", dtick=0.25, row=2)
        return styled(figure, palette, height=560 if before else 520)

    return Chart(
        _work_title(points, half),
        "Above: how many times as fast larger batches are as batch size 1, with the "
        "interval. Below: processing's share of all CPU at batch size 1; where it "
        f"takes half, work and IPC cost the same.{BEFORE if before else ''}",
        draw,
    )


def _gains(name: str, points: Sequence[Work]) -> list[Point]:
    found = []
    for point in points:
        compared, ratio = point.compared, point.compared.ratio
        hover = (
            f"<b>{name}</b><br>{count(point.iterations)} iterations<br>"
            f"{escape(compared.first)}: {times(ratio.value)} × "
            f"{escape(compared.second)}<br>({times(ratio.low)} to {times(ratio.high)})"
        )
        found.append(Point(point.iterations, ratio.low, ratio.value, ratio.high, hover))
    return found


def _shares(name: str, points: Sequence[Work]) -> list[Point]:
    return [
        Point(
            point.iterations,
            point.processing,
            point.processing,
            point.processing,
            f"<b>{name}</b><br>{count(point.iterations)} iterations<br>"
            f"{share(point.processing)} of all CPU",
        )
        for point in points
        if point.processing is not None
    ]


def _work_title(points: Sequence[Work], half: float | None) -> str:
    least, most = points[0], points[-1]
    said = f"CPU-bound: batching gains {_gain(least)}"
    if len(points) > 1:
        said += f", and {_gain(most)}"
    if half is not None:
        said += f"; from about {_about(half)} on, work costs more than IPC"
    return said


def _gain(point: Work) -> str:
    gain = times(point.compared.ratio.value)
    iterations = "iteration" if point.iterations == 1 else "iterations"
    return f"{gain} × where a record is {count(point.iterations)} {iterations}"


def _about(value: float) -> str:
    return count(float(f"{value:.2g}"))


def replicas(measured: Sequence[Measured]) -> Chart | None:
    """Return throughput by number of servers."""
    known = sorted(with_speed(measured), key=server_count)
    gains = [speed_of(of[-1]) / speed_of(of[0]) for of in by_kind(known) if len(of) > 1]
    title = "Replicas: throughput by number of servers"
    if gains:
        # One factor, or from the least to the most.
        ends = dict.fromkeys((times(min(gains)), times(max(gains))))
        title = (
            f"Replicas: with the most servers, {' to '.join(ends)} × as many records "
            f"per second"
        )
    return _bars(
        title,
        "Records per second by the servers of each stage, the median round. Whiskers "
        "go from the slowest to the fastest.",
        known,
        servers,
    )


def transports(measured: Sequence[Measured]) -> Chart | None:
    """Return throughput by transport."""
    return _bars(
        _transports_title(by_kind(measured)),
        "Records per second by transport, the median round. Whiskers go from the "
        "slowest to the fastest.",
        measured,
        lambda one: one.transport,
    )


def _transports_title(kinds: Sequence[Sequence[Measured]]) -> str:
    said = []
    for of in kinds:
        fastest, slowest = max(of, key=speed_of), min(of, key=speed_of)
        if fastest is not slowest:
            ratio = share(speed_of(slowest) / speed_of(fastest))
            said.append(
                f"{slowest.transport} runs at {ratio} of {fastest.transport} at batch "
                f"size {count(of[0].batch_size)}"
            )
    return f"Transports: {', '.join(said) or 'throughput'}"


def _bars(
    title: str,
    text: str,
    measured: Sequence[Measured],
    label: Callable[[Measured], str],
) -> Chart | None:
    """Return throughput as bars, with a panel for each kind of benchmark."""
    panels = {_panel(of[0], measured): of for of in by_kind(measured)}
    if not panels:
        return None
    extra = 16 * max(name.count("<br>") for name in panels)
    gap = 62 + extra
    height = 40 + extra + sum(gap + 32 * len(panel) for panel in panels.values())

    def draw(palette: Palette) -> go.Figure:
        figure = make_subplots(
            rows=len(panels),
            vertical_spacing=gap / (height - 40 - extra),
            row_heights=[len(panel) for panel in panels.values()],
        )
        for row, (name, panel) in enumerate(panels.items(), 1):
            points = _speeds(panel, label)
            figure.add_trace(
                go.Bar(
                    orientation="h",
                    x=[point.value for point in points],
                    y=[point.x for point in points],
                    error_x=whiskers(points, palette.text, caps=5),
                    marker={"color": palette.series[0]},
                    text=[f"{count(point.value)}/s" for point in points],
                    textposition="inside",
                    insidetextanchor="start",
                    insidetextfont={"color": palette.paper},
                    hovertext=[point.hover for point in points],
                    hoverinfo="text",
                    showlegend=False,
                ),
                row=row,
                col=1,
            )
            top = figure.layout[f"yaxis{row if row > 1 else ''}"].domain[1]
            heading(figure, name, top)
        figure.update_yaxes(autorange="reversed", type="category")
        figure.update_xaxes(rangemode="tozero", tickformat="~s", nticks=6)
        figure.update_layout(bargap=0.3)
        return styled(figure, palette, height, top=28 + extra)

    return Chart(title, text, draw)


def _panel(measured: Measured, beside: Sequence[Measured]) -> str:
    """Return the heading of a kind, as markup: what the others do not have too."""
    work = []
    if len({one.workload for one in beside}) > 1:
        work.append(escape(measured.workload))
    if len({one.iterations for one in beside}) > 1 and measured.iterations:
        work.append(f"{short(measured.iterations)} iterations")
    size = f"batch size {count(measured.batch_size)}"
    return f"{', '.join(work)}<br>{size}" if work else size


def _speeds(
    measured: Sequence[Measured], label: Callable[[Measured], str]
) -> list[Point]:
    return [
        Point(
            escape(label(one)),
            speed.low,
            speed.value,
            speed.high,
            f"<b>{escape(label(one))}</b>, batch size {count(one.batch_size)}"
            f"<br>{between(speed)}",
        )
        for one in measured
        if (speed := one.throughput) is not None
    ]
