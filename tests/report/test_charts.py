"""Axes, and how charts are drawn as SVG."""

from __future__ import annotations

import pytest

from pytest_pipeline.report.charts.axes import (
    batch_size_axis,
    log_axis,
    log_ticks,
    zero_axis,
)
from pytest_pipeline.report.charts.model import (
    Axis,
    Bar,
    Chart,
    Panel,
    Point,
    Rule,
    Series,
)
from pytest_pipeline.report.charts.rows import Rows
from pytest_pipeline.report.charts.svg import chart_html
from pytest_pipeline.report.formatting import count, short
from tests.report.drawn import Drawn, drawn

LINEAR = Axis(0, 200)
LOG = Axis(1, 10_000, ((1, "one"), (100, "a hundred")), log=True)
POINTS = (Point(1, 50, 40, 100, "first"), Point(100, 100, 100, 100, "second"))


def chart_of(*marks: Series | Bar | Rule, x: Axis = LOG, y: Axis = LINEAR) -> Drawn:
    """Return a chart of one panel, 200 pixels high, as it is drawn."""
    html = chart_html(Chart("title", "text", (Panel(200, x, y, marks),)))
    (found,) = drawn(f'<div class="chart">{html}</div>\n</figure>')
    return found


def texts(axis: Axis) -> list[str]:
    """Return the labels of an axis."""
    return [label for _, label in axis.ticks]


@pytest.mark.parametrize(
    ("axis", "value", "position"),
    [
        (LINEAR, 0, 0),
        (LINEAR, 50, 0.25),
        (LOG, 1, 0),
        (LOG, 100, 0.5),
        (LOG, 10_000, 1),
        (Axis(3, 0), 1, 2 / 3),
    ],
)
def test_an_axis_places_values(axis: Axis, value: float, position: float) -> None:
    """Linear, logarithmic and reversed."""
    assert axis.position(value) == pytest.approx(position)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (3, 60, [5, 10, 20, 50]),
        (3, 4_000, [10, 100, 1_000]),
        (0.0004, 0.02, [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02]),
    ],
)
def test_log_ticks_are_round_numbers(
    low: float, high: float, ticks: list[float]
) -> None:
    """On a short axis, there are ticks between the powers of ten."""
    assert log_ticks(low, high) == ticks


def test_a_log_axis_spans_at_least_a_decade() -> None:
    """Noise does not fill it, and every value is within."""
    narrow, wide = log_axis([99, 101], count), log_axis([2, 3_000], count)

    assert narrow.high / narrow.low == pytest.approx(10)
    assert texts(narrow) == ["50", "100", "200"]
    assert wide.low < 2
    assert wide.high > 3_000
    assert texts(wide) == ["10", "100", "1,000"]


def test_close_batch_sizes_share_a_label() -> None:
    """The larger one is labelled; each has a grid line."""
    axis = batch_size_axis([1, 10, 50, 100, 1_000])

    assert texts(axis) == ["1k", "100", "10", "1"]
    assert sorted(axis.lines) == [1, 10, 50, 100, 1_000]
    assert 0 < axis.position(1) < axis.position(1_000) < 1


@pytest.mark.parametrize(
    ("most", "labels"),
    [
        (140, ["0", "50", "100"]),
        (173_000, ["0", "50k", "100k", "150k"]),
        (0.9, ["0", "0.2", "0.4", "0.6", "0.8"]),
    ],
)
def test_the_axis_of_bars_starts_at_zero(most: float, labels: list[str]) -> None:
    """It has a few round ticks."""
    axis = zero_axis(most, short)

    assert texts(axis) == labels
    assert (axis.position(0), axis.position(most) < 1) == (0, True)


def test_points_and_whiskers_follow_the_axes() -> None:
    """Horizontally in per cent, vertically in pixels."""
    found = chart_of(Series("it", POINTS, "blue", "circle", dash=0))
    line, _ = found.of_class("line")
    places = [point.find("svg") for point in found.of_class("point")]

    assert line.get("points") == "0.0,150.0 500.0,100.0"
    assert [place is not None and place.get("x") for place in places] == ["0%", "50%"]
    assert [of.get("transform") for of in found.of_class("marker")[:2]] == [
        *("translate(0 150.0)", "translate(0 100.0)"),
    ]
    (whisker,) = found.of_class("whisker")
    assert (whisker.get("d") or "").startswith("M0 160.0V100.0")
    assert found.tooltips == ["first", "second"]


def test_an_interval_can_be_horizontal() -> None:
    """Its ends are in per cent, each with a cap."""
    point = Point(10, 100, 1, 100, "it")
    found = chart_of(Series("it", (point,), "blue", "circle", sideways=True))
    whisker = [(of.get("x1"), of.get("x2")) for of in found.of_class("whisker")]

    assert whisker == [("0%", "50%"), ("0%", "0%"), ("50%", "50%")]


def test_an_earlier_series_is_thin_and_open() -> None:
    """By classes of the style sheet, in the legend too."""
    now = Series("it", POINTS, "blue", "circle", dash=1)
    before = Series("it, before", POINTS, "blue", "circle", dash=1, before=True)
    found = chart_of(now, before)

    assert found.series("it").get("class") == "series blue"
    assert found.series("it, before").get("class") == "series blue open before"
    assert found.legend == ["it", "it, before"]
    assert len(found.of_class("before")) == 2


def test_a_short_bar_has_its_label_beside_it() -> None:
    """After the whisker; a long bar has its label inside."""
    long, small = (
        Bar("", (0, end), (row, row + 1), "blue", "", f"{end}/s", (end, end + 10))
        for row, end in ((0, 100), (1, 20))
    )
    found = chart_of(long, small, x=LINEAR, y=Axis(2, 0))
    (inside,) = found.of_class("inside")
    beside = next(of for of in found.of_class("tick") if of.text == "20/s")

    assert (inside.text, inside.get("x")) == ("100/s", "0%")
    assert beside.get("x") == "15%"
    assert [of.get("width") for of in found.of_class("fill")] == ["50%", "10%"]
    assert found.legend == []


def test_axes_have_labels_grid_lines_and_a_title() -> None:
    """A tick has a label and a grid line."""
    ticks = ((1, "one\n5/s"), (100, "two"))
    x = Axis(1, 10_000, ticks, lines=(10,), log=True, title="size")
    found = chart_of(Rule(10, "knee: 10"), x=x)

    assert found.texts == ["one", "5/s", "two", "size", "knee: 10"]
    assert [line.get("x1") for line in found.of_class("grid")] == ["0%", "25%", "50%"]
    assert [line.get("x1") for line in found.of_class("rule")] == ["25%"]


def test_texts_of_a_chart_are_escaped() -> None:
    """Names, tooltips and labels."""
    evil = "<b>&amp;'\""
    point = Point(1, 1, 1, 1, evil)
    found = chart_of(Series(evil, (point,), "blue", "circle"), Rule(1, evil))

    assert (found.tooltips, found.legend, found.texts[-1]) == ([evil], [evil], evil)
    assert found.series(evil) is not None


def test_rows_have_their_names_above_their_marks() -> None:
    """Names are wrapped for a phone, in three lines at most."""
    rows = Rows(["short", "word " * 50], room=20)
    first, second = rows.labels

    assert first.lines == ("short",)
    assert len(second.lines) == 3
    assert second.lines[-1].endswith(" …")
    assert first.y < rows.spans[0][0] < rows.middles[0] < rows.spans[0][1] < second.y
    assert rows.spans[1][1] < rows.height
    assert max(map(len, second.lines)) <= 44
