"""The charts over batch size: throughput, stages' time, and latency."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pipeline.stages import INGEST, SINK
from pytest_pipeline.measure.results import Interval, Latency, Measured, Variant
from pytest_pipeline.report.answers import Batching
from pytest_pipeline.report.drawing import (
    BEFORE,
    Chart,
    Point,
    batch_size_axis,
    heading,
    line,
    log_range,
    log_ticks,
    marked,
    named,
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

_VARIANTS: dict[Variant, str] = {
    "split": "split",
    "monolith": "monolith, same batches",
    "floor": "floor: stages that do nothing",
    "queues": "queues instead of gRPC",
}
_WHOLE: dict[str, Callable[[Latency], float]] = {
    "99.9% of records": lambda of: of.total.p999,
    "99% of records": lambda of: of.total.p99,
    "half of the records": lambda of: of.total.p50,
}
_PARTS: dict[str, Callable[[Latency], float]] = {
    "filling": lambda of: of.filling.p99,
    "queueing": lambda of: of.queueing.p99,
    "service": lambda of: of.service.p99,
}
#: The batch size that titles speak of where it was measured.
_USUAL = 100


def throughput(batching: Batching, before: Batching | None = None) -> Chart | None:
    """Return throughput against batch size; None where the split was not measured.

    What was measured ``before`` is drawn of the same series.
    """
    split = batching.of("split")
    if not split:
        return None
    series = _series(batching, before)
    overlaid = BEFORE if any(one.before for one in series) else ""
    sizes = sorted({size for one in series for size in one.speeds})

    def draw(palette: Palette) -> go.Figure:
        figure = go.Figure()
        for one in series:
            trace = line(
                one.name,
                _speeds(one.name, one.speeds),
                palette.series[one.look],
                one.look,
                before=one.before,
            )
            if one.is_level:
                trace.update(mode="lines", line_dash="dot", error_y_visible=False)
            figure.add_trace(trace)
        if batching.knee is not None and len(split) > 2:
            marked(figure, batching.knee, f"knee: {count(batching.knee)}", palette)
        batch_size_axis(figure, sizes, palette)
        shown = [speed for one in series for speed in one.speeds.values()]
        ends = log_range(end for speed in shown for end in (speed.low, speed.high))
        ticks = log_ticks(10**end for end in ends)
        figure.update_yaxes(
            type="log",
            range=ends,
            tickvals=ticks,
            ticktext=[f"{short(tick)}/s" for tick in ticks],
        )
        return styled(figure, palette, height=400 + 16 * len(series))

    return Chart(
        _throughput_title(batching),
        "Records per second against batch size, both on log axes. Each point is the "
        "median round; where rounds differ by more than the marker hides, a whisker "
        f"goes from the slowest to the fastest.{overlaid}",
        draw,
    )


@dataclass(frozen=True)
class _Series:
    name: str
    speeds: dict[int, Interval]
    look: int
    before: bool
    #: Whether it is one speed at every batch size.
    is_level: bool = False


def _series(batching: Batching, before: Batching | None) -> list[_Series]:
    """Return what there is now, each followed by what there was of it before."""
    found = []
    for look, (variant, name) in enumerate(_VARIANTS.items()):
        for side in filter(None, (batching, before)):
            if batching.of(variant) and side.of(variant):
                is_before = side is before
                name_of = named(name, before=is_before)
                found.append(_Series(name_of, side.of(variant), look, is_before))
    for side in filter(None, (batching, before)):
        if batching.by_event is not None and side.by_event is not None:
            is_before = side is before
            name_of = named("monolith, record by record", before=is_before)
            speeds = dict.fromkeys(batching.sizes, side.by_event)
            found.append(_Series(name_of, speeds, 1, is_before, is_level=True))
    return found


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


def latency(
    measured: Sequence[Measured], before: Sequence[Measured] = ()
) -> Chart | None:
    """Return the percentiles of latency by batch size, in whole and in parts.

    What was measured ``before`` is drawn where the same came at the same rate.
    """
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
    earlier = {
        (one.batch_size, one.latency.rate_per_s): one.latency
        for one in before
        if one.latency is not None
    }
    then = [earlier.get((size, of.rate_per_s)) for size, of in known]
    sides = [(False, [of for _, of in known])] + [(True, then)] * any(then)

    def draw(palette: Palette) -> go.Figure:
        figure = make_subplots(
            rows=2, shared_xaxes=True, vertical_spacing=0.12, row_heights=[0.5, 0.5]
        )
        shown: list[float] = []
        for row, group in enumerate((_WHOLE, _PARTS), 1):
            for look, (name, percentile) in enumerate(group.items()):
                for is_before, side in sides:
                    points = [
                        _latency_point(
                            named(name, before=is_before), label, size, percentile(of)
                        )
                        for label, (size, _), of in zip(
                            labels, known, side, strict=True
                        )
                        # What took no time has no place on a log axis.
                        if of is not None and percentile(of) > 0
                    ]
                    shown += [point.value for point in points]
                    # The percentiles share a colour; each part has its own.
                    colour = palette.series[0 if row == 1 else 1 + look]
                    trace = line(
                        named(name, before=is_before),
                        points,
                        colour,
                        3 * (row - 1) + look,
                        before=is_before,
                    )
                    figure.add_trace(trace, row=row, col=1)
        figure.update_xaxes(type="category", categoryarray=labels)
        figure.update_xaxes(title_text="batch size (records in a message)", row=2)
        ticks = log_ticks(shown)
        figure.update_yaxes(
            type="log", tickvals=ticks, ticktext=list(map(duration, ticks))
        )
        heading(figure, "from due until done", 1)
        heading(figure, "99th percentile of each part", 0.44)
        return styled(figure, palette, height=540 + 100 * len(sides))

    return Chart(
        _latency_title(measured[0].workload, known),
        "Records are due at a fixed rate, whether or not the stages keep up. filling: "
        "until the last record of its batch was due. queueing: until the batch was "
        "sent. service: until the last transform stage had answered."
        f"{BEFORE if any(then) else ''}",
        draw,
    )


def _latency_point(name: str, label: str, size: int, value: float) -> Point:
    hover = f"<b>{name}</b><br>batch size {count(size)}<br>at most {duration(value)}"
    return Point(label, value, value, value, hover)


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
