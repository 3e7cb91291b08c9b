"""The page of a session: complete, escaped, and with all results."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from msgspec.structs import replace

from pipeline.errors import SinkError
from pytest_pipeline.measure.results import Measured, Session
from pytest_pipeline.report.charts.model import Bar, Series
from pytest_pipeline.report.session_page import page_of, render, write
from tests.report.drawn import bars_of, charts_of, drawn, marks_of, series_of
from tests.report.sessions import (
    MACHINE,
    batching,
    compared,
    comparisons,
    crossover,
    latency,
    load,
    replicas,
    rounds,
    session,
    transports,
)

TITLES = """\
events: the split at batch size 100 is 77 (72 to 82) × size 1, and 4.04 (3.80 to \
4.30) × the monolith record by record
events: parse spends 9% of its busy time on processing at batch size 1, 36% at 5,000
CPU-bound: batching gains 21 (20 to 22) × where a record is 1 iteration, and 1.06 \
(1.02 to 1.10) × where a record is 291,000 iterations; from about 19,000 on, work \
costs more than IPC
mixed: the split at batch size 100 is 11 (10 to 12) × size 1, and 0.88 (0.82 to \
0.93) × the monolith record by record
mixed: parse spends 9% of its busy time on processing at batch size 1, 33% at 1,000
Replicas: with the most servers, 1.43 to 1.71 × as many records per second
Transports: tls runs at 77% to 87% of unix at batch size 1, tls runs at 82% to 93% \
of unix at batch size 100
events: at 1,000 records/s, 99% took at most 5.1 ms at batch size 1, and 1 s at \
1,000
Comparisons: 1 of 3 claims hold, 1 inconclusive
""".splitlines()
EVIL = "<script>alert('&')</script>"


class Page(HTMLParser):
    """The elements and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._inside: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.tags.append((tag, dict(attrs)))
        self._inside.append(tag)

    def handle_data(self, data: str) -> None:
        """Note a text with the element that was opened last."""
        if data.strip() and self._inside:
            self.texts.append((self._inside[-1], data.strip()))

    def of(self, tag: str) -> list[str]:
        """Return the texts after the start of these elements."""
        return [text for where, text in self.texts if where == tag]


@pytest.fixture(scope="module")
def whole() -> str:
    """The page of a session with one of each."""
    return render(session())


def test_the_top_of_the_page_answers_the_questions(whole: str) -> None:
    """Cost, batch size and machine come before any chart."""
    head = whole.split("<section", maxsplit=1)[0]

    for said in (
        "What did the split cost?",
        "19 (18 to 20) times as many",
        "Which batch size wins it back?",
        "use batch size 2,000",
        "What was the machine?",
        "2 cores, Linux 6.1.0, CPython 3.11.7",
        "Measured 2026-03-01 12:00 UTC",
    ):
        assert said in head


def test_the_page_of_a_session_with_failures_begins_with_them() -> None:
    """A workload with a failed test has no recommendation, in words and in charts."""
    failures = [(f"test_split[events-{size}]", "it <differs>") for size in range(12)]

    text = render(replace(session(batching()), failures=failures))

    head = text.split("What did the split cost?")[0]
    assert "12 tests failed." in head
    assert "test_split[events-0]: it &lt;differs&gt;" in head
    assert "… and 2 more" in head
    assert text.count("no answer, because 12 tests of it failed") == 2
    for said in ("use batch size", "to use:", "times as fast"):
        assert said not in text


def test_no_chart_has_a_single_bar_or_point() -> None:
    """The table says as much."""
    parts = (crossover(), replicas(), transports(), comparisons())

    for part in parts:
        assert drawn(render(session(part[:1]))) == []


def test_the_page_loads_nothing(whole: str) -> None:
    """No element has an address, and the policy forbids all requests."""
    page = Page(whole)
    policies = [
        of["content"] or ""
        for tag, of in page.tags
        if tag == "meta" and of.get("http-equiv") == "Content-Security-Policy"
    ]

    assert [of for _, of in page.tags if "src" in of or "href" in of] == []
    assert policies[0].startswith("default-src 'none';")


def test_the_title_of_a_chart_states_the_finding(whole: str) -> None:
    """It is computed, and is the label for screen readers."""
    page = Page(whole)
    labels = [of["aria-label"] or "" for _, of in page.tags if of.get("role") == "img"]

    assert [label.partition(". The table")[0] for label in labels] == TITLES


def test_replicas_that_gain_nothing_are_reported() -> None:
    """A single measurement has no factor."""
    names = {"test_replicas[1-1]": 100.0, "test_replicas[1-2]": 84.0}
    pair = [
        (name, replace(of, throughput_per_s=rounds(names[name])))
        for name, of in replicas()
        if name in names
    ]
    alone = [(n, replace(of, workload="mine")) for n, of in pair[1:]]

    assert "with the most servers, 0.79 to 0.89 × as many records" in render(
        session(pair)
    )
    for said in ("with the most servers", "× fewest"):
        assert said not in render(session(alone))


def test_charts_have_no_colours_of_their_own(whole: str) -> None:
    """The style sheet colours their classes, for light and for dark pages."""
    charts = "".join(ET.tostring(chart.root, "unicode") for chart in drawn(whole))
    light, dark = (
        dict(re.findall(r"(--\w+): (.*?);", theme))
        for theme in re.findall(r":root \{(.*?)\}", whole, re.DOTALL)
    )

    assert len(drawn(whole)) == 9
    assert not re.search(r"#[0-9a-f]{3}|rgb|fill=|stroke=", charts)
    for colour in ("--text", "--line", "--blue", "--orange", "--wait", "--idle"):
        assert light[colour] != dark[colour]


def test_series_are_distinct_without_colour(whole: str) -> None:
    """By dashes and markers in lines, by hatches in bars."""
    throughput, time = charts_of(page_of(session()))[:2]
    lines = [of for of in series_of(throughput).values() if of.marker]
    hatches = [
        re.search(rf"\.{phase} \.hatch {{ fill: url\(#(\w+)\)", whole)
        for phase in ("decode", "process", "encode", "send")
    ]

    assert len({of.dash for of in lines}) == len(lines) == 4
    assert len({of.marker for of in lines}) == 4
    assert [bar.look for bar in bars_of(time)[:4]] == [
        *("decode", "process", "encode", "send"),
    ]
    assert len({found and found[1] for found in hatches}) == 4
    for found in filter(None, hatches):
        assert f'<pattern id="{found[1]}"' in whole


def test_zero_is_left_out_of_a_log_axis() -> None:
    """A batch of one takes no time to fill. The batch sizes stay on the axis."""
    chart = charts_of(page_of(session()))[7]
    filling = series_of(chart)["filling"]

    assert [point.text.splitlines()[1] for point in filling.points] == [
        *("batch size 10", "batch size 100", "batch size 1,000"),
    ]
    for panel in chart.panels:
        assert [label for _, label in panel.x.ticks] == ["1", "10", "100", "1,000"]


def test_shares_of_a_stage_add_up() -> None:
    """Decode, process, encode, send, wait and idle add up to 100 %."""
    bars = bars_of(charts_of(page_of(session()))[1])[:6]

    assert [of.name for of in bars] == [
        *("decode", "process", "encode", "send", "wait", "idle"),
    ]
    assert bars[0].x[0] == 0
    assert bars[-1].x[1] == pytest.approx(1)
    assert all(of.x[1] == after.x[0] for of, after in pairwise(bars))


def test_latency_by_load_rises_with_the_rate() -> None:
    """Each percentile is a line through the rates, from the lowest."""
    (chart,) = charts_of(page_of(session(load())))
    lines = series_of(chart)

    assert list(lines) == [
        *("99.9% of records", "99% of records", "half of the records"),
    ]
    for line in lines.values():
        heights = [point.y for point in line.points]
        assert len(heights) == 3
        assert heights == sorted(heights)
        assert "90,000 records/s" in line.points[0].text
    assert "auto" in render(session(load()))


@pytest.mark.parametrize(
    ("made", "headings"),
    [
        (session(comparisons()), ["Comparisons"]),
        (session(load()), ["Latency by load"]),
        (session(latency(), batching("logs")), ["Batching: logs", "Latency"]),
        (
            session(batching("logs"), batching("events")),
            ["Batching: logs", "Batching: events"],
        ),
    ],
)
def test_a_group_without_results_has_no_section(
    made: Session, headings: list[str]
) -> None:
    """Each workload has its own."""
    page = Page(render(made))

    assert page.of("h2") == [*headings, "The machine", "Copy as Markdown"]


def test_names_of_tests_and_workloads_are_escaped() -> None:
    """In the page, and in the charts."""
    workload = [(n, replace(of, workload=EVIL)) for n, of in batching() + latency()]
    claims = [compared(2, first=EVIL, second=f"</textarea>{EVIL}")] * 2
    made = session(
        workload, [(EVIL, Measured(group="comparisons", comparisons=claims))]
    )
    machine = replace(MACHINE, processor=EVIL, versions={EVIL: EVIL})

    text = render(replace(made, machine=machine, when=EVIL))

    assert "<script>alert" not in text
    assert "</textarea><" not in text.replace("</textarea>\n</section>", "")
    charts = drawn(text)
    assert len(charts) == 4
    assert [chart.of_class("script") for chart in charts] == [[]] * 4
    assert not any(True for chart in charts for _ in chart.root.iter("script"))
    assert EVIL in charts[-1].tooltips[0].replace("\n", " ")


def test_all_tables_can_be_copied(whole: str) -> None:
    """As Markdown, including machine and versions."""
    area = whole.partition('id="markdown"')[2].partition("</textarea>")[0]

    assert "| batch size | split/s | rounds | × size 1 |" in area
    assert "| 100 | 173,097 | −3 +3% | 77 | 290,000 | 1,000,000 | 938,937 |" in area
    assert "| grpcio | 1.85.3 |" in area


def test_a_vertical_bar_is_escaped_in_markdown() -> None:
    """It would end the cell."""
    claims = [("test_a|b", Measured(group="comparisons", comparisons=[compared(2)]))]

    assert "| test_a\\|b |" in render(session(claims))


def test_charts_and_tables_need_no_script(whole: str) -> None:
    """The only script of the page copies the tables."""
    page = Page(whole)

    assert [tag for tag, _ in page.tags].count("script") == 1
    assert "createElement" not in whole.partition("<script>")[2]
    assert all(chart.of_class("panel") for chart in drawn(whole))
    assert "677,786" in page.of("td")


def test_every_point_and_bar_has_its_values_as_a_tooltip(whole: str) -> None:
    """Points have a larger area to hit."""
    for chart, of in zip(charts_of(page_of(session())), drawn(whole), strict=True):
        texts = [
            text
            for mark in marks_of(chart)
            for text in (
                [point.text for point in mark.points]
                if isinstance(mark, Series)
                else [mark.text]
                if isinstance(mark, Bar)
                else []
            )
        ]
        assert of.tooltips == texts
        assert all(texts)
        assert len(of.of_class("touch")) == len(of.of_class("point"))
    first = drawn(whole)[0]
    assert "split\nbatch size 100\n173,097/s (167,904 to 178,463)" in first.tooltips


def test_an_unwritable_page_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    """A folder in its place is kept, and no draft is left."""
    (tmp_path / "report.html").mkdir()

    with pytest.raises(SinkError):
        write(session(), tmp_path / "report.html")

    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_page_with_every_group_is_small(whole: str) -> None:
    """Far below 1 MB, even with an earlier session overlaid."""
    assert len(whole.encode()) < 200_000
    assert len(render(session(), session()).encode()) < 250_000
