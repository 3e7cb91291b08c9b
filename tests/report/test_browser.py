"""The page in a real browser: it draws, fits, and loads nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pytest_pipeline.report.session_page import render
from tests.report.browser import Seen, asked_of_page, browser, on_a_phone, opened_text
from tests.report.sessions import session

pytestmark = pytest.mark.skipif(
    browser() is None, reason="there is no chromium or chrome on PATH"
)

#: For each chart, how many series and bars it has, and how many of their markers and
#: bars have no size or lie outside of the chart.
DRAWN = """[...document.querySelectorAll(".chart")].map(chart => {
  const within = chart.getBoundingClientRect();
  const marks = [...chart.querySelectorAll(".panel .marker, .panel .fill")];
  return [
    chart.querySelectorAll(".panel .series, .panel .bar").length,
    marks.map(mark => mark.getBoundingClientRect()).filter(box =>
      box.height === 0 || box.left < within.left || box.right > within.right
      || box.top < within.top || box.bottom > within.bottom).length]; })"""
COLOURS = """[
  getComputedStyle(document.querySelector(".panel .middle:not(.tick)")).fill,
  getComputedStyle(document.querySelector(".series.blue .line")).stroke]"""
OUTSIDE = '<img src="http://charts.example/pixel.png">'
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')


@pytest.fixture(scope="module")
def page() -> str:
    """The report of a session with every group."""
    return render(session())


@pytest.fixture(scope="module")
def seen(page: str, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """The report, opened in the browser."""
    return opened_text(page, tmp_path_factory.mktemp("report"))


def test_every_chart_is_drawn_with_its_series(page: str, tmp_path: Path) -> None:
    """Throughput, stages' time, crossover, replicas, transports, latency, claims.

    Each of their marks has a place within its panel.
    """
    found = json.loads(asked_of_page(page, tmp_path, DRAWN))

    assert [marks for marks, _ in found] == [5, 60, 2, 3, 60, 6, 6, 6, 3]
    assert [outside for _, outside in found] == [0] * 9


def test_the_page_logs_no_errors(seen: Seen) -> None:
    """No script fails or violates the content security policy."""
    assert seen.console == []


def test_the_page_makes_no_requests(seen: Seen) -> None:
    """It is complete in itself."""
    assert seen.asked == set()


def test_a_request_would_be_noticed(page: str, tmp_path: Path) -> None:
    """The same page with an external image, and without its policy."""
    asking = POLICY.sub("", page).replace("<main>", f"<main>{OUTSIDE}")

    assert opened_text(asking, tmp_path).asked == {"charts.example"}


def test_the_policy_forbids_external_content(page: str, tmp_path: Path) -> None:
    """An external image is not even requested."""
    asking = page.replace("<main>", f"<main>{OUTSIDE}")
    forbidden = opened_text(asking, tmp_path)

    assert forbidden.asked == set()
    assert any("Content Security Policy" in line for line in forbidden.console)


@pytest.mark.parametrize(
    ("preferred", "colours"),
    [
        (0, ["rgb(230, 233, 237)", "rgb(86, 180, 233)"]),
        (1, ["rgb(27, 31, 36)", "rgb(0, 114, 178)"]),
    ],
    ids=["dark", "light"],
)
def test_charts_follow_the_preferred_colours(
    page: str, tmp_path: Path, preferred: int, colours: list[str]
) -> None:
    """Text and series have other colours on a dark page."""
    flag = f"--blink-settings=preferredColorScheme={preferred}"

    assert json.loads(asked_of_page(page, tmp_path, COLOURS, flag)) == colours


def test_the_page_fits_a_phone(page: str, tmp_path: Path) -> None:
    """At 390 pixels it does not scroll sideways, and all charts are within."""
    phone = on_a_phone(page, tmp_path)

    assert phone.width <= 390
    assert phone.charts == 9
    assert phone.left >= 0
    assert phone.right <= 390
