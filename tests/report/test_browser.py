"""The page in a real browser: it draws, it fits, and it asks for nothing."""

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
    """The report of one of each."""
    return render(session())


@pytest.fixture(scope="module")
def seen(page: str, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """What came of opening the report."""
    return opened_text(page, tmp_path_factory.mktemp("report"))


def test_every_chart_is_drawn_with_its_series(page: str, tmp_path: Path) -> None:
    """Throughput, stages' time, crossover, replicas, transports, latency, claims.

    Each of their marks has a place within its panel.
    """
    found = json.loads(asked_of_page(page, tmp_path, DRAWN))

    assert [marks for marks, _ in found] == [5, 90, 2, 3, 60, 6, 6, 6, 3]
    assert [outside for _, outside in found] == [0] * 9


def test_the_page_has_nothing_to_complain_about(seen: Seen) -> None:
    """No script fails, and none tries what the page's own policy forbids."""
    assert seen.console == []


def test_nothing_is_asked_of_a_network(seen: Seen) -> None:
    """Neither the page nor the library that draws it fetches anything."""
    assert seen.asked == set()


def test_a_page_that_asks_for_something_is_caught(page: str, tmp_path: Path) -> None:
    """The same page with a picture from elsewhere, and without its policy."""
    asking = POLICY.sub("", page).replace("<main>", f"<main>{OUTSIDE}")

    assert opened_text(asking, tmp_path).asked == {"charts.example"}


def test_the_policy_of_the_page_forbids_what_is_not_in_it(
    page: str, tmp_path: Path
) -> None:
    """A picture from elsewhere is not even asked for."""
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
    """Texts and series are light on dark, or dark on light."""
    flag = f"--blink-settings=preferredColorScheme={preferred}"

    assert json.loads(asked_of_page(page, tmp_path, COLOURS, flag)) == colours


def test_nothing_sticks_out_on_a_phone(page: str, tmp_path: Path) -> None:
    """A page of 390 pixels scrolls down only, and each chart fits in it."""
    phone = on_a_phone(page, tmp_path)

    assert phone.width <= 390
    assert phone.charts == 9
    assert phone.left >= 0
    assert phone.right <= 390
