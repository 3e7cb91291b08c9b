"""The chart of comparisons: each ratio with its interval, by verdict."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_pipeline.measure.results import Compared
from pytest_pipeline.report.charts.axes import log_axis
from pytest_pipeline.report.charts.model import (
    Chart,
    Colour,
    Marker,
    Panel,
    Point,
    Rule,
    Series,
)
from pytest_pipeline.report.charts.rows import Rows, wrapped
from pytest_pipeline.report.formatting import count, times
from pytest_pipeline.report.tables import question, verdict

#: How a verdict is drawn, by its sign: colour, marker, and whether that is open.
_LOOKS: dict[str, tuple[Colour, Marker, bool]] = {
    "✓": ("green", "circle", False),
    "?": ("purple", "diamond", True),
    "✗": ("orange", "cross", False),
}


def ratios(compared: Sequence[tuple[str, Compared]]) -> Chart | None:
    """Return the ratio of each comparison by verdict; None for fewer than two."""
    if len(compared) < 2:
        return None
    rows = Rows([question(one) for _, one in compared], room=22)
    series = []
    for sign, (colour, marker, is_open) in _LOOKS.items():
        chosen = [
            (middle, one)
            for middle, (_, one) in zip(rows.middles, compared, strict=True)
            if verdict(one).startswith(sign)
        ]
        if chosen:
            series.append(
                Series(
                    verdict(chosen[0][1]),
                    tuple(_point(middle, one) for middle, one in chosen),
                    colour,
                    marker,
                    open=is_open,
                    sideways=True,
                    caps=6,
                )
            )
    ends = [end for _, one in compared for end in (one.ratio.low, one.ratio.high)]
    x = log_axis([1, *ends], count, span=0, title="times as fast")
    return Chart(
        _title([one for _, one in compared]),
        "How many times as fast the first one is as the second, with the interval, "
        "on a log axis.",
        (Panel(rows.height, x, rows.axis, (Rule(1), *rows.labels, *series)),),
    )


def _title(compared: Sequence[Compared]) -> str:
    hold = sum(one.outcome == one.claim for one in compared)
    unclear = sum(one.outcome == "inconclusive" for one in compared)
    said = f"Comparisons: {hold} of {len(compared)} claims hold"
    return f"{said}, {unclear} inconclusive" if unclear else said


def _point(middle: float, compared: Compared) -> Point:
    ratio = compared.ratio
    lines = (
        *wrapped(question(compared), lines=6),
        (
            f"{verdict(compared)}: {times(ratio.value)} ({times(ratio.low)} to "
            f"{times(ratio.high)} at {ratio.confidence:.0%}), {compared.rounds} rounds"
        ),
    )
    return Point(ratio.value, middle, ratio.low, ratio.high, "\n".join(lines))
