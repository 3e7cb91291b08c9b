"""The page of a gate: its outcome, the changes, and the times of old and new."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from pytest_pipeline.gate.charts import percent_ticks
from pytest_pipeline.gate.outcome import GateResult
from pytest_pipeline.gate.page import page_of, place_of
from pytest_pipeline.gate.verdict import Quartiles
from pytest_pipeline.report.charts.model import Label
from pytest_pipeline.report.page import page_html
from tests.gate.results import CONDITIONS, found, result
from tests.report.browser import browser, on_a_phone, opened_text
from tests.report.drawn import bars_of, charts_of, drawn, marks_of, series_of

FILE = "benchmarks/test_gate.py::"
LONG = f"{FILE}test_{'quite_long_' * 8}[some-parameter-100]"


def one_of_each() -> GateResult:
    """Return a gate with all kinds of verdicts."""
    return found(
        result("ok", f"{FILE}test_ok", 1.01, old_s=0.00031),
        result("regressed", f"{FILE}test_slower[1-2]", 1.12),
        result("improved", f"{FILE}test_quicker", 0.8, old_s=0.042),
        result("inconclusive", LONG, 1.06),
        result("gone", f"{FILE}test_gone"),
    )


def test_the_top_of_the_page_states_the_outcome() -> None:
    """With both revisions, the benchmarks and the machine."""
    page = page_of(one_of_each())

    assert page.title == "Gate: regressed"
    assert page.lead == "Measured 2026-03-01 12:00 UTC, in 75 s."
    assert page.answers["What came of it?"] == [
        ("regressed", f"{FILE}test_slower[1-2] +12.0 %")
    ]
    assert page.answers["What was compared?"] == [
        ("old", "main (01234567)"),
        ("new", "HEAD (89abcdef)"),
        ("benchmarks", "5, all in benchmarks/test_gate.py"),
    ]
    assert page.answers["What was the machine?"][0][1].startswith("2 cores, Linux")
    assert page.notices == ()


def test_changes_are_drawn_by_verdict() -> None:
    """With their intervals; the benchmark that slowed down most is at the top."""
    changes, _ = charts_of(page_of(one_of_each()))
    drawn = series_of(changes)
    verdicts = ["regressed", "inconclusive", "improved", "ok"]
    (slower,) = drawn["regressed"].points

    assert list(drawn) == ["A/A noise floor", *verdicts]
    assert slower.x == 1.12
    assert (slower.low, slower.high) == pytest.approx((1.1, 1.14))
    assert "+12.0 % (+10.0 % to +14.0 %), 12 rounds" in slower.text
    assert "threshold +5.0 %, A/A +0.4 %" in slower.text
    assert len({drawn[verdict].marker for verdict in verdicts}) == 4
    assert len({drawn[verdict].colour for verdict in verdicts}) == 4
    heights = [drawn[verdict].points[0].y for verdict in verdicts]
    assert heights == [min(heights), heights[1], max(heights), heights[3]]


def test_each_change_has_its_threshold_and_noise_floor() -> None:
    """The threshold is a band, the noise floor two strokes."""
    wide = replace(result("ok", "test_wide"), threshold=0.25, noise_floor=1.1)
    changes, _ = charts_of(page_of(found(result("ok", "test_it", 1.02), wide)))
    bands = bars_of(changes)

    assert [bar.x for bar in bands] == [(pytest.approx(1 / 1.05), 1.05), (0.8, 1.25)]
    assert [point.x for point in series_of(changes)["A/A noise floor"].points] == [
        *(pytest.approx(1 / 1.004), 1.004),
        *(pytest.approx(1 / 1.1), 1.1),
    ]


def test_old_and_new_are_overlaid() -> None:
    """As two series, in rows whose names have the medians."""
    _, seconds = charts_of(page_of(one_of_each()))
    drawn = series_of(seconds)
    old, new = drawn["old revision"].points, drawn["new revision"].points
    labels = [mark for mark in marks_of(seconds) if isinstance(mark, Label)]

    assert list(drawn) == ["old revision", "new revision"]
    assert [point.x for point in old] == [1, 1, 1, 1]
    assert [point.x for point in new] == pytest.approx([1.12, 1.06, 1.01, 0.8])
    assert [point.high - point.x for point in new] == pytest.approx(
        [0.336, 0.318, 0.303, 0.24]
    )
    assert all(above.y < below.y for above, below in zip(old, new, strict=True))
    assert labels[0].lines == ("test_slower[1-2]: 2\xa0ms\xa0→\xa02.24\xa0ms",)
    assert "new: 2.24 ms a call" in new[0].text
    assert "half of the samples 2.2 ms to 2.35 ms" in new[0].text


def test_equal_samples_have_an_axis() -> None:
    """A coarse clock may give them."""
    same = Quartiles(1e-9, 1e-9, 1e-9, 1e-9, 1e-9)
    _, seconds = charts_of(
        page_of(found(replace(result("ok"), old_s=same, new_s=same)))
    )
    axis = seconds.panels[0].x

    assert axis.low < 1 < axis.high


def test_a_bar_holds_half_of_the_samples() -> None:
    """From the first to the third quartile, against the old median."""
    _, seconds = charts_of(page_of(found(result("regressed", change=1.5))))

    old, new = bars_of(seconds)
    assert old.x == pytest.approx((0.98, 1.05))
    assert new.x == pytest.approx((1.47, 1.575))


def test_the_tables_have_all_results() -> None:
    """Verdicts, times and machine; names without their common part."""
    page = page_of(one_of_each())
    verdicts, times, machine, versions = page.copied

    assert [row[:3] for row in verdicts.rows][1] == (
        *("test_slower[1-2]", "regressed", "+12.0 %"),
    )
    assert verdicts.rows[-1][0] == "test_gone (skipped: no disk)"
    assert times.rows[0] == (
        *("test_ok", "310 µs", "304 µs to 326 µs", "313 µs", "307 µs to 329 µs"),
    )
    assert len(times.rows) == 4
    assert ("cores", "2") in machine.rows
    assert versions.title == "Versions: none of 2 differ"


def test_different_versions_are_noticed() -> None:
    """They may explain a change. They come first in the table."""
    newer = {"numpy": "2.5.0", "pytest": "9.2.0", "a": "1"}
    older = {"a": "1", "gone": "3", **CONDITIONS.old_versions}
    page = page_of(
        found(conditions=replace(CONDITIONS, old_versions=older, new_versions=newer))
    )

    assert page.notices == (
        "What is installed differs: gone 3, now none; numpy 2.4.6, now 2.5.0.",
    )
    assert page.machine[1].title == "Versions: 2 of 4 differ"
    assert [row[0] for row in page.machine[1].rows[:2]] == ["gone", "numpy"]


@pytest.mark.parametrize(
    ("names", "place"),
    [
        (["a/b.py::test_one", "a/b.py::test_other"], "a/b.py::"),
        (["a/b.py::test_one[x/y::z]"], "a/b.py::"),
        (["a/b.py::test_it", "a/c.py::test_it"], "a/"),
        (["b.py::Test::test_it", "b.py::Test::test_too"], "b.py::Test::"),
        (["b.py::test_it", "c.py::test_it"], ""),
        (["test_one", "test_other"], ""),
        ([], ""),
    ],
)
def test_names_are_shown_without_their_common_part(
    names: list[str], place: str
) -> None:
    """A folder, file or class; parameters in brackets are ignored."""
    assert place_of(names) == place


def test_nothing_measured_has_no_charts() -> None:
    """Only the outcome and the table of verdicts."""
    gone, none = page_of(found(result("gone"))), page_of(found())

    assert [section.charts for section in gone.sections] == [()]
    assert none.sections == ()
    assert none.title == "Gate: nothing measured"
    assert "Gate: nothing measured" in page_html(none)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.97, 1.03, [0.98, 0.99, 1, 1.01, 1.02]),
        (0.9, 1.2, [0.9, 0.95, 1, 1.05, 1.1, 1.2]),
        (0.3, 4, [0.5, 1, 2]),
        (1.5, 40, [2, 5, 10, 30]),
    ],
)
def test_ticks_are_round_changes(low: float, high: float, ticks: list[float]) -> None:
    """Their labels do not overlap."""
    assert percent_ticks(low, high) == ticks


def test_names_are_escaped() -> None:
    """In the page and in the charts."""
    evil = "a.py::test_it[<script>alert(1)</script>]"

    gate = found(result("regressed", evil, 1.2))
    text = page_html(page_of(gate))

    assert "<script>alert" not in text
    for chart in drawn(text):
        assert not list(chart.root.iter("script"))
        assert "test_it[<script>alert(1)</script>]" in chart.tooltips[0]


@pytest.mark.skipif(browser() is None, reason="there is no chromium or chrome on PATH")
def test_the_page_makes_no_requests_and_fits_a_phone(tmp_path: Path) -> None:
    """In a real browser, with a name wider than a phone."""
    page = page_html(page_of(one_of_each()))

    seen = opened_text(page, tmp_path)
    phone = on_a_phone(page, tmp_path)

    changes, seconds = drawn(page)
    assert len(changes.of_class("series")) == 2 * 5
    assert len(seconds.of_class("series")) == 2 * 2
    assert len(page.encode()) < 100_000
    assert (seen.console, seen.asked) == ([], set())
    assert phone.width <= 390
    assert phone.charts == 2
    assert phone.left >= 0
    assert phone.right <= 390
