"""The charts over batch size: throughput, stages' time, and latency."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pipeline.stage import INGEST, SINK
from pytest_pipeline.measured import Interval, Latency, Measured
from pytest_pipeline.report.answers import Batching
from pytest_pipeline.report.drawing import (
    Point,
    batch_size_axis,
    heading,
    line,
    log_range,
    log_ticks,
    marked,
    styled,
)
from pytest_pipeline.report.palette import Palette
from pytest_pipeline.report.phases import PHASES, busy, shares
from pytest_pipeline.report.wording import (
    between,
    count,
    duration,
    share,
    short,
    times,
)

#: The batch size that titles speak of where it was measured.
_USUAL = 100


@dataclass(frozen=True)
class Chart:
    """One chart: what it shows, in words, and how it is drawn in some colours.

    ``title`` says what is seen, ``text`` how to read it; neither is markup.
    """

    title: str
    text: str
    draw: Callable[[Palette], go.Figure]


def throughput(batching: Batching) -> Chart | None:
    """Return throughput against batch size; None where the split was not measured."""
    split = batching.of("split")
    if not split:
        return None
    series = {
        "split": split,
        "monolith, same batches": batching.of("monolith"),
        "floor: stages that do nothing": batching.of("floor"),
        "queues instead of gRPC": batching.of("queues"),
    }

    def draw(palette: Palette) -> go.Figure:
        figure = go.Figure()
        for look, (name, speeds) in enumerate(series.items()):
            if speeds:
                figure.add_trace(
                    line(name, _speeds(name, speeds), palette.series[look], look)
                )
        if batching.by_event is not None:
            name, level = "monolith, record by record", batching.by_event
            points = _speeds(name, dict.fromkeys(batching.sizes, level))
            trace = line(name, points, palette.series[1], 1)
            figure.add_trace(
                trace.update(mode="lines", line_dash="dot", error_y_visible=False)
            )
        if batching.knee is not None and len(split) > 2:
            marked(figure, batching.knee, f"knee: {count(batching.knee)}", palette)
        batch_size_axis(figure, batching.sizes, palette)
        shown = [speed for of in series.values() for speed in of.values()]
        ends = log_range(end for speed in shown for end in (speed.low, speed.high))
        ticks = log_ticks(10**end for end in ends)
        figure.update_yaxes(
            type="log",
            range=ends,
            tickvals=ticks,
            ticktext=[f"{short(tick)}/s" for tick in ticks],
        )
        return styled(figure, palette, height=480)

    return Chart(
        _throughput_title(batching),
        "Records per second against batch size, both on log axes. Each point is the "
        "median round; where rounds differ by more than the marker hides, a whisker "
        "goes from the slowest to the fastest.",
        draw,
    )


def _throughput_title(batching: Batching) -> str:
    split = batching.of("split")
    size = _USUAL if _USUAL in split else batching.knee or max(split)
    gain = batching.gain(size)
    said = f"{batching.workload}: the split at batch size {count(size)} "
    if gain is None or size == 1:
        return f"{said}runs {count(split[size].value)}/s"
    said += f"is {times(gain)} × size 1"
    if batching.by_event is None:
        return said
    against = split[size].value / batching.by_event.value
    return f"{said}, and {times(against)} × the monolith record by record"


def _speeds(name: str, of: dict[int, Interval]) -> list[Point]:
    return [
        Point(
            size,
            speed.low,
            speed.value,
            speed.high,
            f"<b>{name}</b><br>batch size {count(size)}<br>{between(speed)}",
        )
        for size, speed in of.items()
    ]


def stage_time(batching: Batching) -> Chart | None:
    """Return where each stage's time went at the least, knee and largest batch size."""
    runs = batching.split_runs
    if not runs:
        return None
    sizes = sorted({size for size in (min(runs), batching.knee, max(runs)) if size})
    shown = {size: runs[size] for size in sizes if size in runs}
    stages = max(len(run.stages) for run in shown.values())
    height = 130 + len(shown) * (44 + 30 * stages)

    def draw(palette: Palette) -> go.Figure:
        figure = make_subplots(
            rows=len(shown),
            shared_xaxes=True,
            vertical_spacing=44 / (height - 130),
        )
        for row, (size, run) in enumerate(shown.items(), 1):
            of = {name: shares(run, stage) for name, stage in run.stages.items()}
            for phase, look in zip(PHASES, palette.phases, strict=True):
                values = [found[phase] for found in of.values()]
                figure.add_trace(
                    go.Bar(
                        name=phase,
                        legendgroup=phase,
                        showlegend=row == 1,
                        orientation="h",
                        x=values,
                        y=list(map(escape, of)),
                        marker={
                            "color": look.colour,
                            "line": {"color": palette.muted, "width": 0.5},
                            "pattern": {
                                "shape": look.hatch,
                                "fillmode": "overlay",
                                "fgcolor": palette.text,
                                "fgopacity": 0.55,
                                "size": 6,
                                "solidity": 0.2,
                            },
                        },
                        hovertext=[
                            f"<b>{escape(name)}</b>, batch size {count(size)}"
                            f"<br>{phase}: {share(value)}"
                            for name, value in zip(of, values, strict=True)
                        ],
                        hoverinfo="text",
                    ),
                    row=row,
                    col=1,
                )
            top = figure.layout[f"yaxis{row if row > 1 else ''}"].domain[1]
            heading(figure, f"batch size {count(size)}", top)
        figure.update_yaxes(autorange="reversed")
        figure.update_xaxes(
            range=[0, 1.003], tickvals=[0, 0.25, 0.5, 0.75, 1], tickformat=".0%"
        )
        figure.update_layout(barmode="stack", bargap=0.25)
        return styled(figure, palette, height)

    return Chart(
        _stage_time_title(batching),
        "Of the wall-clock time of each stage in the median run. wait: for input. "
        "send: until gRPC took the reply. idle: before its stream began and after it "
        "ended. Neither wait nor idle is counted as IPC.",
        draw,
    )


def _stage_time_title(batching: Batching) -> str:
    runs = batching.split_runs
    first, last = min(runs), max(runs)
    stages = runs[last].stages
    # Ingest and sink read and write files; what they process is no work on records.
    transforms = [name for name in stages if name not in (INGEST, SINK)]
    busiest = max(transforms or stages, key=lambda name: busy(runs[last], stages[name]))

    def working(size: int) -> str:
        stage = runs[size].stages[busiest]
        at_work = busy(runs[size], stage)
        processing = shares(runs[size], stage)["process"]
        return share(processing / at_work if at_work else 0)

    said = (
        f"{batching.workload}: {busiest} spends {working(first)} of its busy time on "
        f"processing at batch size {count(first)}"
    )
    return said if first == last else f"{said}, {working(last)} at {count(last)}"


def latency(measured: Sequence[Measured]) -> Chart | None:
    """Return the percentiles of latency by batch size, in whole and in parts."""
    known = [
        (one.batch_size, one.latency)
        for one in sorted(measured, key=lambda one: one.batch_size)
        if one.latency is not None
    ]
    if not known:
        return None
    rates = {of.rate_per_s for _, of in known}
    labels = [
        f"{count(size)}" + (f"<br>{count(of.rate_per_s)}/s" if len(rates) > 1 else "")
        for size, of in known
    ]
    whole = {
        "99.9% of records": [of.total.p999 for _, of in known],
        "99% of records": [of.total.p99 for _, of in known],
        "half of the records": [of.total.p50 for _, of in known],
    }
    parts = {
        "filling": [of.filling.p99 for _, of in known],
        "queueing": [of.queueing.p99 for _, of in known],
        "service": [of.service.p99 for _, of in known],
    }

    def draw(palette: Palette) -> go.Figure:
        figure = make_subplots(
            rows=2, shared_xaxes=True, vertical_spacing=0.12, row_heights=[0.5, 0.5]
        )
        for row, group in enumerate((whole, parts), 1):
            for look, (name, values) in enumerate(group.items()):
                points = [
                    Point(
                        label,
                        value,
                        value,
                        value,
                        f"<b>{name}</b><br>batch size {count(size)}<br>"
                        f"at most {duration(value)}",
                    )
                    for label, value, (size, _) in zip(
                        labels, values, known, strict=True
                    )
                    # What took no time has no place on a log axis.
                    if value > 0
                ]
                # The percentiles share a colour; each part has its own.
                colour = palette.series[0 if row == 1 else 1 + look]
                trace = line(name, points, colour, 3 * (row - 1) + look)
                figure.add_trace(trace, row=row, col=1)
        figure.update_xaxes(type="category", categoryarray=labels)
        figure.update_xaxes(title_text="batch size (records in a message)", row=2)
        ticks = log_ticks(
            value for of in (whole, parts) for values in of.values() for value in values
        )
        figure.update_yaxes(
            type="log", tickvals=ticks, ticktext=list(map(duration, ticks))
        )
        heading(figure, "from due until done", 1)
        heading(figure, "99th percentile of each part", 0.44)
        return styled(figure, palette, height=640)

    return Chart(
        _latency_title(measured[0].workload, known),
        "Records are due at a fixed rate, whether or not the stages keep up. filling: "
        "until the last record of its batch was due. queueing: until the batch was "
        "sent. service: until the last transform stage had answered.",
        draw,
    )


def _latency_title(workload: str, known: Sequence[tuple[int, Latency]]) -> str:
    (first, least), (last, most) = known[0], known[-1]
    said = (
        f"{workload}: at {count(least.rate_per_s)} records/s, 99% took at most "
        f"{duration(least.total.p99)} at batch size {count(first)}"
    )
    if first == last:
        return said
    rate = (
        ""
        if most.rate_per_s == least.rate_per_s
        else (f" and {count(most.rate_per_s)} records/s")
    )
    return f"{said}, and {duration(most.total.p99)} at {count(last)}{rate}"
