"""The page in a real browser: it draws, it fits, and it asks for nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_pipeline.report.page import render
from pytest_pipeline.report.palette import DARK, LIGHT
from tests.report.browser import Charts, Seen, browser, on_a_phone, opened_text
from tests.report.sessions import session

pytestmark = pytest.mark.skipif(
    browser() is None, reason="there is no chromium or chrome on PATH"
)

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


def rgb(colour: str) -> str:
    """Return a colour as a browser writes it."""
    return f"rgb{tuple(bytes.fromhex(colour[1:]))}"


def test_every_chart_is_drawn_with_its_series(seen: Seen) -> None:
    """Throughput, stages' time, crossover, replicas, transports, latency, claims."""
    assert Charts(seen.dom).traces == {
        "chart-1": 5,
        "chart-2": 18,
        "chart-3": 2,
        "chart-4": 3,
        "chart-5": 12,
        "chart-6": 3,
        "chart-7": 2,
        "chart-8": 6,
        "chart-9": 3,
    }


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
    ("preferred", "text"), [(0, DARK.text), (1, LIGHT.text)], ids=["dark", "light"]
)
def test_charts_follow_the_preferred_colours(
    page: str, tmp_path: Path, preferred: int, text: str
) -> None:
    """What is written in them is light on dark, or dark on light."""
    flag = f"--blink-settings=preferredColorScheme={preferred}"
    seen = opened_text(page, tmp_path, flag)

    assert f"fill: {rgb(text)}" in seen.dom
    other = LIGHT.text if text == DARK.text else DARK.text
    assert f"fill: {rgb(other)}" not in seen.dom


def test_nothing_sticks_out_on_a_phone(page: str, tmp_path: Path) -> None:
    """A page of 390 pixels scrolls down only, and each chart fits in it."""
    phone = on_a_phone(page, tmp_path)

    assert phone.width <= 390
    assert phone.charts >= 9
    assert phone.right <= 390
