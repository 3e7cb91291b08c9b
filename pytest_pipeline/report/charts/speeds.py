"""The charts of throughput as bars: by number of servers, and by transport."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_pipeline.measure.results import Measured
from pytest_pipeline.report.analysis import (
    by_kind,
    server_count,
    servers,
    speed_of,
    with_speed,
)
from pytest_pipeline.report.charts.axes import row_axis, zero_axis
from pytest_pipeline.report.charts.model import Bar, Chart, Panel
from pytest_pipeline.report.formatting import between, count, share, short, times

#: Height of a bar's row, in pixels.
_ROW = 32


def replicas(measured: Sequence[Measured]) -> Chart | None:
    """Return throughput by number of servers."""
    known = sorted(with_speed(measured), key=server_count)
    ratios = [
        (last.low / first.high, last.high / first.low)
        for of in by_kind(known)
        if len(of) > 1
        and (first := of[0].throughput) is not None
        and (last := of[-1].throughput) is not None
    ]
    title = "Replicas: throughput by number of servers"
    if ratios:
        least, most = min(low for low, _ in ratios), max(high for _, high in ratios)
        title = (
            f"Replicas: with the most servers, {times(least)} to {times(most)} × as "
            f"many records per second"
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
        most, least = fastest.throughput, slowest.throughput
        if fastest is slowest or most is None or least is None:
            continue
        if least.high < most.low:
            ends = share(least.low / most.high), share(least.high / most.low)
            said.append(
                f"{slowest.transport} runs at {' to '.join(ends)} of "
                f"{fastest.transport} at batch size {count(of[0].batch_size)}"
            )
        else:
            size = count(of[0].batch_size)
            said.append(f"can't tell which is fastest at batch size {size}")
    return f"Transports: {', '.join(said) or 'throughput'}"


def _bars(
    title: str,
    text: str,
    measured: Sequence[Measured],
    label: Callable[[Measured], str],
) -> Chart | None:
    """Return throughput as bars, with a panel per kind of benchmark."""
    # A bar beside no other says nothing that the table does not.
    kinds = [of for of in by_kind(measured) if len(of) > 1]
    if not kinds:
        return None
    return Chart(title, text, tuple(_panel(of, measured, label) for of in kinds))


def _panel(
    kind: Sequence[Measured],
    measured: Sequence[Measured],
    label: Callable[[Measured], str],
) -> Panel:
    bars = []
    for row, one in enumerate(kind):
        speed = one.throughput
        if speed is not None:
            text = f"{label(one)}, batch size {count(one.batch_size)}\n{between(speed)}"
            bars.append(
                Bar(
                    "",
                    (0, speed.value),
                    (row + 0.15, row + 0.85),
                    "blue",
                    text,
                    f"{count(speed.value)}/s",
                    (speed.low, speed.high),
                )
            )
    most = max(bar.whisker[1] for bar in bars if bar.whisker is not None)
    return Panel(
        _ROW * len(kind),
        zero_axis(most, short),
        row_axis([label(one) for one in kind]),
        tuple(bars),
        _heading(kind[0], measured),
    )


def _heading(measured: Measured, beside: Sequence[Measured]) -> str:
    """Return the batch size, and the workload or iterations where they differ."""
    work = []
    if len({one.workload for one in beside}) > 1:
        work.append(measured.workload)
    if len({one.iterations for one in beside}) > 1 and measured.iterations:
        work.append(f"{short(measured.iterations)} iterations")
    size = f"batch size {count(measured.batch_size)}"
    return f"{', '.join(work)}\n{size}" if work else size
