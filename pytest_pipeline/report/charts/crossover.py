"""The chart of the crossover: what batching gains, by work per record."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_pipeline.report.analysis import Work, crossover
from pytest_pipeline.report.charts.axes import SHARES, log_axis
from pytest_pipeline.report.charts.model import (
    BEFORE,
    Axis,
    Chart,
    Panel,
    Point,
    Rule,
    Series,
    named,
)
from pytest_pipeline.report.formatting import count, share, short, times


def gain_by_work(points: Sequence[Work], before: Sequence[Work] = ()) -> Chart | None:
    """Return the gain from batching, and processing's share of CPU, by work per record.

    ``before`` are the points of an earlier session.
    """
    if len(points) < 2:
        return None
    half = crossover(points)
    sides = [side for side in (points, before) if side]
    gains = tuple(_gains(side, before=side is before) for side in sides)
    shares = tuple(_shares(side, before=side is before) for side in sides)
    rule = () if half is None else (Rule(half, f"crossover: {_about(half)}"),)
    line = () if half is None else (Rule(half),)
    x = log_axis(
        (point.iterations for side in sides for point in side),
        short,
        title="iterations (work in a record)",
    )
    above = Axis(x.low, x.high, lines=tuple(value for value, _ in x.ticks), log=True)
    y = log_axis(
        (
            end
            for side in sides
            for point in side
            for end in (point.compared.ratio.low, point.compared.ratio.high)
        ),
        lambda tick: f"{count(tick)} ×",
    )
    return Chart(
        _work_title(points, half),
        "Above: how many times as fast larger batches are as batch size 1, with the "
        "interval. Below: processing's share of all CPU at batch size 1; where it "
        f"takes half, work and IPC cost the same.{BEFORE if before else ''}",
        (
            Panel(230, above, y, rule + gains),
            Panel(150, x, Axis(0, 1.04, SHARES), line + shares),
        ),
    )


def _gains(points: Sequence[Work], *, before: bool) -> Series:
    name = named("gain from batching", before=before)
    found = []
    for point in points:
        compared, ratio = point.compared, point.compared.ratio
        text = (
            f"{name}\n{count(point.iterations)} iterations\n"
            f"{compared.first}: {times(ratio.value)} × {compared.second}\n"
            f"({times(ratio.low)} to {times(ratio.high)})"
        )
        found.append(Point(point.iterations, ratio.value, ratio.low, ratio.high, text))
    return Series(name, tuple(found), "blue", "circle", dash=0, before=before)


def _shares(points: Sequence[Work], *, before: bool) -> Series:
    name = named("processing's share of CPU", before=before)
    found = tuple(
        Point(
            point.iterations,
            point.processing,
            point.processing,
            point.processing,
            f"{name}\n{count(point.iterations)} iterations\n"
            f"{share(point.processing)} of all CPU",
        )
        for point in points
        if point.processing is not None
    )
    return Series(name, found, "orange", "square", dash=1, before=before)


def _work_title(points: Sequence[Work], half: float | None) -> str:
    least, most = points[0], points[-1]
    said = f"CPU-bound: batching gains {_gain(least)}"
    if len(points) > 1:
        said += f", and {_gain(most)}"
    if half is not None:
        said += f"; from about {_about(half)} on, work costs more than IPC"
    return said


def _gain(point: Work) -> str:
    ratio = point.compared.ratio
    gain = f"{times(ratio.value)} ({times(ratio.low)} to {times(ratio.high)})"
    iterations = "iteration" if point.iterations == 1 else "iterations"
    return f"{gain} × where a record is {count(point.iterations)} {iterations}"


def _about(value: float) -> str:
    return count(float(f"{value:.2g}"))
