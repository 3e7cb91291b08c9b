"""The charts of languages: throughput by batch size, and by work per record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_pipeline.measure.results import Measured
from pytest_pipeline.report.charts.axes import batch_size_axis, log_axis
from pytest_pipeline.report.charts.model import (
    Axis,
    Chart,
    Colour,
    Marker,
    Panel,
    Point,
    Series,
)
from pytest_pipeline.report.formatting import between, short
from pytest_pipeline.report.languages import where

#: How the languages are drawn, in order.
_LOOKS: tuple[tuple[Colour, Marker], ...] = (
    ("blue", "circle"),
    ("orange", "square"),
    ("green", "triangle"),
    ("muted", "plus"),
    ("purple", "diamond"),
    ("text", "star"),
)


def speeds(measured: Sequence[Measured]) -> list[Chart]:
    """Return the throughput of each language, in a chart for each workload.

    It is by batch size, or by work per record for a workload whose work varies. There
    is no chart of a single point.
    """
    by_workload: dict[str, list[Measured]] = {}
    for one in measured:
        by_workload.setdefault(one.workload, []).append(one)
    made = []
    for workload, of in by_workload.items():
        works = {one.iterations: one for one in of if one.iterations is not None}
        # Each language has another best batch size.
        sizes = {one.batch_size: one for one in of if one.batch_size}
        if len(works) > 1:
            x = log_axis(works, short, title="iterations (work in a record)")
            made.append(_chart(f"Languages: {workload} by work", works, x))
        elif len(sizes) > 1:
            title = f"Languages: {workload} by batch size"
            made.append(_chart(title, sizes, batch_size_axis(sizes)))
    return made


def _chart(title: str, at: Mapping[int, Measured], x: Axis) -> Chart:
    lines: dict[str, list[Point]] = {}
    for place, measured in sorted(at.items()):
        for runs in measured.languages:
            speed = runs.throughput
            if speed is not None:
                text = f"{runs.language}\n{where(measured)}\n{between(speed)}"
                points = lines.setdefault(runs.language, [])
                points.append(Point(place, speed.value, speed.low, speed.high, text))
    looks = zip(lines.items(), _LOOKS, strict=False)
    series = tuple(
        Series(name, tuple(points), colour, marker, dash=0)
        for (name, points), (colour, marker) in looks
    )
    ends = [
        end for one in series for point in one.points for end in (point.low, point.high)
    ]
    y = log_axis(ends, lambda tick: f"{short(tick)}/s")
    return Chart(
        title,
        "Records per second of the whole pipeline with all stages in each language, "
        "both axes logarithmic. Each point is the median round, and its whisker goes "
        "from the slowest to the fastest.",
        (Panel(300, x, y, series),),
    )
