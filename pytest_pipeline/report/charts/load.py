"""The chart of latency percentiles by the rate at which records arrive."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_pipeline.measure.results import Latency, Measured
from pytest_pipeline.report.charts.axes import log_axis
from pytest_pipeline.report.charts.latency import WHOLE
from pytest_pipeline.report.charts.model import Chart, Panel, Point, Series
from pytest_pipeline.report.formatting import count, duration


def load(measured: Sequence[Measured]) -> Chart | None:
    """Return latency percentiles by rate, at batch size auto."""
    known = sorted(
        (one.latency for one in measured if one.latency is not None),
        key=lambda of: of.rate_per_s,
    )
    if not known:
        return None
    series = tuple(
        Series(
            name,
            tuple(_point(name, of, percentile(of)) for of in known),
            colour,
            marker,
            dash=dash,
        )
        for dash, (name, (percentile, colour, marker)) in enumerate(WHOLE.items())
    )
    y = log_axis([point.y for one in series for point in one.points], duration)
    x = log_axis([of.rate_per_s for of in known], count, title="records due a second")
    least, most = known[0], known[-1]
    return Chart(
        f"{measured[0].workload}: 99% took at most {duration(least.total.p99)} at "
        f"{count(least.rate_per_s)} records/s, and {duration(most.total.p99)} at "
        f"{count(most.rate_per_s)}",
        "Records arrive evenly through a pipe, whether or not the stages keep up, at "
        "10% to 90% of the throughput that was measured just before. Batch size auto.",
        (Panel(300, x, y, series, "from due until done"),),
    )


def _point(name: str, of: Latency, value: float) -> Point:
    rate = f"{count(of.rate_per_s)} records/s"
    return Point(
        of.rate_per_s,
        value,
        value,
        value,
        f"{name}\n{rate}\nat most {duration(value)}",
    )
