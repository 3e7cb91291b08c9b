"""The chart of latency percentiles by batch size, total and by part."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_pipeline.measure.results import Latency, Measured
from pytest_pipeline.report.charts.axes import BATCH_SIZE, category_axis, log_axis
from pytest_pipeline.report.charts.model import (
    BEFORE,
    Chart,
    Colour,
    Marker,
    Panel,
    Point,
    Series,
    named,
)
from pytest_pipeline.report.formatting import count, duration

_Percentile = Callable[[Latency], float]
_BySize = list[tuple[int, Latency | None]]
#: Percentiles of the total share a colour.
WHOLE: dict[str, tuple[_Percentile, Colour, Marker]] = {
    "99.9% of records": (lambda of: of.total.p999, "blue", "circle"),
    "99% of records": (lambda of: of.total.p99, "blue", "square"),
    "half of the records": (lambda of: of.total.p50, "blue", "triangle"),
}
#: Each part has its own.
_PARTS: dict[str, tuple[_Percentile, Colour, Marker]] = {
    "filling": (lambda of: of.filling.p99, "orange", "diamond"),
    "queueing": (lambda of: of.queueing.p99, "green", "plus"),
    "service": (lambda of: of.service.p99, "purple", "star"),
}


def latency(
    measured: Sequence[Measured], before: Sequence[Measured] = ()
) -> Chart | None:
    """Return latency percentiles by batch size, total and by part.

    ``before`` is of an earlier session. It is drawn at batch sizes that were measured
    at the same rate.
    """
    known = [
        (one.batch_size, one.latency)
        for one in sorted(measured, key=lambda one: one.batch_size)
        if one.latency is not None
    ]
    if not known:
        return None
    several_rates = len({of.rate_per_s for _, of in known}) > 1
    labels = [
        count(size) + (f"\n{count(of.rate_per_s)}/s" if several_rates else "")
        for size, of in known
    ]
    earlier = {
        (one.batch_size, one.latency.rate_per_s): one.latency
        for one in before
        if one.latency is not None
    }
    now: _BySize = list(known)
    then: _BySize = [(size, earlier.get((size, of.rate_per_s))) for size, of in known]
    is_overlaid = any(of for _, of in then)
    sides = [(False, now), (True, then)] if is_overlaid else [(False, now)]
    whole, parts = (
        tuple(
            _series(named(name, before=before), of, look, dash, before=before)
            for dash, (name, look) in enumerate(group.items())
            for before, of in sides
        )
        for group in (WHOLE, _PARTS)
    )
    values = [point.y for one in (*whole, *parts) for point in one.points]
    y = log_axis(values, duration)
    return Chart(
        _latency_title(measured[0].workload, known),
        "Records are due at a fixed rate, whether or not the stages keep up. filling: "
        "until the last record of its batch was due. queueing: until the batch was "
        "sent. service: until the last transform stage had answered."
        f"{BEFORE if is_overlaid else ''}",
        (
            Panel(200, category_axis(labels), y, whole, "from due until done"),
            Panel(
                200,
                category_axis(labels, BATCH_SIZE),
                y,
                parts,
                "99th percentile of each part",
            ),
        ),
    )


def _series(
    name: str,
    latencies: _BySize,
    look: tuple[_Percentile, Colour, Marker],
    dash: int,
    *,
    before: bool,
) -> Series:
    percentile, colour, marker = look
    points = tuple(
        Point(
            at,
            value,
            value,
            value,
            f"{name}\nbatch size {count(size)}\nat most {duration(value)}",
        )
        for at, (size, of) in enumerate(latencies)
        # Zero has no place on a log axis.
        if of is not None and (value := percentile(of)) > 0
    )
    return Series(name, points, colour, marker, dash=dash, before=before)


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
