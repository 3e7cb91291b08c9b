"""The charts by batch size: throughput, and how each stage spent its time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.stages import INGEST, SINK
from pytest_pipeline.measure.results import Interval, Variant
from pytest_pipeline.report.analysis import PHASES, Batching, busy, factor, phase_shares
from pytest_pipeline.report.charts.axes import (
    SHARES,
    batch_size_axis,
    log_axis,
    row_axis,
)
from pytest_pipeline.report.charts.model import (
    BEFORE,
    COLOURS,
    Axis,
    Bar,
    Chart,
    Marker,
    Panel,
    Point,
    Rule,
    Series,
    named,
)
from pytest_pipeline.report.formatting import between, count, share, short

_VARIANTS: dict[Variant, tuple[str, Marker]] = {
    "split": ("split", "circle"),
    "monolith": ("monolith, same batches", "square"),
    "floor": ("floor: stages that do nothing", "triangle"),
    "queues": ("queues instead of gRPC", "diamond"),
    "flight": ("Arrow Flight", "plus"),
    "bytewax": ("Bytewax, in one process", "star"),
    "dask": ("Dask, in parts", "cross"),
}
_BY_EVENT = "monolith, record by record"
#: The batch size named in titles, if it was measured.
_USUAL = 100
#: Height of a stage's row, in pixels.
_ROW = 28


def throughput(batching: Batching, before: Batching | None = None) -> Chart | None:
    """Return throughput by batch size, or None for fewer than two of the split.

    ``before`` is the same workload in an earlier session.
    """
    split = batching.of("split")
    if len(split) < 2:
        return None
    speeds = _speeds(batching, before)
    sizes = sorted({size for one in speeds for size in one.by_size})
    marks: list[Series | Rule] = [one.series() for one in speeds]
    if batching.recommended is not None and len(split) > 2:
        said = f"to use: {count(batching.recommended)}"
        marks.insert(0, Rule(batching.recommended, said))
    ends = [
        end
        for one in speeds
        for speed in one.by_size.values()
        for end in (speed.low, speed.high)
    ]
    y = log_axis(ends, lambda tick: f"{short(tick)}/s")
    return Chart(
        _throughput_title(batching),
        "Records per second against batch size, both on log axes. Each point is the "
        "median round; where rounds differ by more than the marker hides, a whisker "
        "goes from the slowest to the fastest."
        f"{BEFORE if any(one.before for one in speeds) else ''}",
        (Panel(300, batch_size_axis(sizes), y, tuple(marks)),),
    )


@dataclass(frozen=True)
class _Speeds:
    """The throughput of one variant by batch size."""

    variant: Variant
    name: str
    by_size: dict[int, Interval]
    before: bool

    def series(self) -> Series:
        look = list(_VARIANTS).index(self.variant)
        is_level = self.name.startswith(_BY_EVENT)
        points = tuple(
            Point(
                size,
                speed.value,
                speed.low,
                speed.high,
                f"{self.name}\nbatch size {count(size)}\n{between(speed)}",
            )
            for size, speed in self.by_size.items()
        )
        if is_level:
            # A level line: whiskers would repeat at every batch size.
            points = tuple(
                Point(point.x, point.y, point.y, point.y, point.text)
                for point in points
            )
        return Series(
            self.name,
            points,
            COLOURS[look % len(COLOURS)],
            None if is_level else _VARIANTS[self.variant][1],
            dash=2 if is_level else look,
            before=self.before,
        )


def _speeds(batching: Batching, before: Batching | None) -> list[_Speeds]:
    """Return the variants measured now, each followed by its earlier measurement."""
    sides = [side for side in (batching, before) if side is not None]
    found = []
    for variant, (name, _) in _VARIANTS.items():
        for side in sides:
            if batching.of(variant) and side.of(variant):
                is_before = side is before
                name_of = named(name, before=is_before)
                found.append(_Speeds(variant, name_of, side.of(variant), is_before))
    for side in sides:
        if batching.by_event is not None and side.by_event is not None:
            is_before = side is before
            by_size = dict.fromkeys(batching.sizes, side.by_event)
            name_of = named(_BY_EVENT, before=is_before)
            found.append(_Speeds("monolith", name_of, by_size, is_before))
    return found


def _throughput_title(batching: Batching) -> str:
    if batching.distrust:
        return f"{batching.workload}: throughput by batch size; tests of it failed"
    split = batching.of("split")
    size = _USUAL if _USUAL in split else max(split)
    said = f"{batching.workload}: the split at batch size {count(size)} "
    if 1 not in split or size == 1:
        return f"{said}runs {between(split[size])}"
    said += f"is {factor(split[size], split[1])} × size 1"
    if batching.by_event is None:
        return said
    against = factor(split[size], batching.by_event)
    return f"{said}, and {against} × the monolith record by record"


def stage_time(batching: Batching) -> Chart | None:
    """Return each stage's time by phase, at up to three batch sizes."""
    runs = batching.split_runs
    if not runs:
        return None
    sizes = sorted(
        {size for size in (min(runs), batching.recommended, max(runs)) if size}
    )
    shown = [size for size in sizes if size in runs]
    x, x_above = Axis(0, 1, SHARES), Axis(0, 1, lines=tuple(dict(SHARES)))
    panels = []
    for size in shown:
        run = runs[size]
        shares = {name: phase_shares(run, stage) for name, stage in run.stages.items()}
        panels.append(
            Panel(
                _ROW * len(shares),
                x if size == shown[-1] else x_above,
                row_axis(list(shares)),
                tuple(
                    bar
                    for row, (name, of) in enumerate(shares.items())
                    for bar in _phase_bars(row, name, size, of)
                ),
                f"batch size {count(size)}",
            )
        )
    return Chart(
        _stage_time_title(batching),
        "Of the wall-clock time of each stage in the median run. wait: for input. "
        "send: until gRPC took the reply. idle: before its stream began and after it "
        "ended. Neither wait nor idle is counted as IPC.",
        tuple(panels),
    )


def _phase_bars(
    row: int, stage: str, size: int, shares: dict[str, float]
) -> Iterable[Bar]:
    start = 0.0
    for phase in PHASES:
        end = start + shares[phase]
        text = f"{stage}, batch size {count(size)}\n{phase}: {share(shares[phase])}"
        yield Bar(phase, (start, end), (row + 0.12, row + 0.88), phase, text)
        start = end


def _stage_time_title(batching: Batching) -> str:
    runs = batching.split_runs
    first, last = min(runs), max(runs)
    stages = runs[last].stages
    # Ingest and sink read and write files; that is no work on records.
    transforms = [name for name in stages if name not in (INGEST, SINK)]
    busiest = max(transforms or stages, key=lambda name: busy(runs[last], stages[name]))

    def working(size: int) -> str:
        stage = runs[size].stages[busiest]
        at_work = busy(runs[size], stage)
        processing = phase_shares(runs[size], stage)["process"]
        return share(processing / at_work if at_work else 0)

    said = (
        f"{batching.workload}: {busiest} spends {working(first)} of its busy time on "
        f"processing at batch size {count(first)}"
    )
    return said if first == last else f"{said}, {working(last)} at {count(last)}"
