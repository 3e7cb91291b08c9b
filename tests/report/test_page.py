"""The page as text: whole in itself, escaped, and with what was measured."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from pipeline.errors import SinkError, UsageError
from pytest_pipeline.measure.results import Measured, Session
from pytest_pipeline.report import page as page_module
from pytest_pipeline.report.page import render, write
from tests.report.sessions import (
    MACHINE,
    batching,
    compared,
    comparisons,
    latency,
    replicas,
    rounds,
    session,
)

TITLES = """\
events: the split at batch size 100 is 77 × size 1, and 4.04 × the monolith record by \
record
events: parse spends 9% of its busy time on processing at batch size 1, 36% at 5,000
CPU-bound: batching gains 21 × where a record is 1 iteration, and 1.06 × where a \
record is 291,000 iterations; from about 19,000 on, work costs more than IPC
mixed: the split at batch size 100 is 11 × size 1, and 0.88 × the monolith record by \
record
mixed: parse spends 9% of its busy time on processing at batch size 1, 33% at 1,000
Replicas: with the most servers, 1.52 to 1.61 × as many records per second
Transports: tls runs at 82% of unix at batch size 1, tls runs at 87% of unix at batch \
size 100
events: at 1,000 records/s, 99% took at most 5.1 ms at batch size 1, and 1 s at 1,000
Comparisons: 1 of 3 claims hold, 1 inconclusive
""".splitlines()
EVIL = "<script>alert('&')</script>"


class Page(HTMLParser):
    """What a page consists of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._inside: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of an element."""
        self.tags.append((tag, dict(attrs)))
        self._inside.append(tag)

    def handle_data(self, data: str) -> None:
        """Take note of a text and the element that began last before it."""
        if data.strip() and self._inside:
            self.texts.append((self._inside[-1], data.strip()))

    def of(self, tag: str) -> list[str]:
        """Return the texts of all elements with a tag."""
        return [text for where, text in self.texts if where == tag]


@pytest.fixture(scope="module")
def whole() -> str:
    """The page of a session with one of each."""
    return render(session())


def figures(text: str) -> dict[str, dict[str, Any]]:
    """Return the figures of a page, by theme and id."""
    found = re.search(r'id="figures">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    loaded: dict[str, dict[str, Any]] = json.loads(found[1])
    return loaded


def test_the_first_lines_answer_the_questions(whole: str) -> None:
    """Cost, batch size and machine come before any chart."""
    head = whole.split("<section", maxsplit=1)[0]

    for said in (
        "What did the split cost?",
        "19 times as many",
        "Which batch size wins it back?",
        "the knee is batch size 1,000",
        "What was the machine?",
        "2 cores, Linux 6.1.0, CPython 3.11.7",
        "Measured 2026-03-01 12:00 UTC",
    ):
        assert said in head


def test_the_page_loads_nothing(whole: str) -> None:
    """No element has an address, and the policy forbids whatever a script might try."""
    page = Page(whole)
    policies = [
        of["content"] or ""
        for tag, of in page.tags
        if tag == "meta" and of.get("http-equiv") == "Content-Security-Policy"
    ]

    assert [of for _, of in page.tags if "src" in of or "href" in of] == []
    assert policies[0].startswith("default-src 'none';")


def test_each_chart_says_what_it_shows(whole: str) -> None:
    """Its title is computed, and is what a screen reader says of it."""
    page = Page(whole)
    labels = [of["aria-label"] or "" for _, of in page.tags if of.get("role") == "img"]

    assert [label.partition(". The table")[0] for label in labels] == TITLES


def test_replicas_that_gain_nothing_are_said_to() -> None:
    """And one that was measured alone is held against nothing."""
    names = {"test_replicas[1-1]": 100.0, "test_replicas[1-2]": 84.0}
    pair = [
        (name, replace(of, throughput_per_s=rounds(names[name])))
        for name, of in replicas()
        if name in names
    ]
    alone = [(n, replace(of, workload="mine")) for n, of in pair[1:]]

    assert "with the most servers, 0.84 × as many records" in render(session(pair))
    for said in ("with the most servers", "× fewest"):
        assert said not in render(session(alone))


def test_there_is_a_figure_of_each_chart_for_light_and_for_dark(whole: str) -> None:
    """The same series in other colours."""
    found = figures(whole)
    light, dark = found["light"], found["dark"]

    assert list(light) == list(dark) == [f"chart-{number}" for number in range(1, 10)]
    for name, figure in light.items():
        assert figure != dark[name]
        assert [of["type"] for of in figure["data"]] == [
            of["type"] for of in dark[name]["data"]
        ]


def test_series_are_told_apart_without_colour(whole: str) -> None:
    """By dashes and markers in lines, by hatches in bars."""
    found = figures(whole)["light"]
    lines = [of for of in found["chart-1"]["data"] if "markers" in of["mode"]]
    bars = [of["marker"]["pattern"]["shape"] for of in found["chart-2"]["data"][:4]]

    assert len({of["line"]["dash"] for of in lines}) == len(lines) == 4
    assert len({of["marker"]["symbol"] for of in lines}) == 4
    assert len(set(bars)) == len(bars) == 4


def test_what_took_no_time_is_left_out_of_a_log_axis(whole: str) -> None:
    """A batch of one is never filling; the batch sizes keep their order."""
    figure = figures(whole)["light"]["chart-8"]
    (filling,) = [of for of in figure["data"] if of["name"] == "filling"]

    assert filling["x"] == ["10", "100", "1,000"]
    assert figure["layout"]["xaxis2"]["categoryarray"] == ["1", "10", "100", "1,000"]


def test_shares_of_a_stage_add_up(whole: str) -> None:
    """Decode, process, encode, send, wait and idle are all of its time."""
    bars = figures(whole)["light"]["chart-2"]["data"]
    names = [of["name"] for of in bars[:6]]

    assert names == ["decode", "process", "encode", "send", "wait", "idle"]
    assert [sum(of["x"][0] for of in bars[:6])] == [pytest.approx(1)]


@pytest.mark.parametrize(
    ("made", "headings"),
    [
        (session(comparisons()), ["Comparisons"]),
        (session(latency(), batching("logs")), ["Batching: logs", "Latency"]),
        (
            session(batching("logs"), batching("events")),
            ["Batching: logs", "Batching: events"],
        ),
    ],
)
def test_a_group_without_figures_has_no_section(
    made: Session, headings: list[str]
) -> None:
    """What was measured has one, each workload of its own."""
    page = Page(render(made))

    assert page.of("h2") == [*headings, "The machine", "Copy as Markdown"]


def test_names_of_tests_and_workloads_are_no_markup() -> None:
    """Neither in the page nor in the charts, whose texts are markup too."""
    workload = [(n, replace(of, workload=EVIL)) for n, of in batching() + latency()]
    claims = [compared(2, first=EVIL, second=f"</textarea>{EVIL}")]
    made = session(
        workload, [(EVIL, Measured(group="comparisons", comparisons=claims))]
    )
    machine = replace(MACHINE, processor=EVIL, versions={EVIL: EVIL})

    text = render(replace(made, machine=machine, when=EVIL))

    assert "<script>alert" not in text
    assert "</textarea><" not in text.replace("</textarea>\n</section>", "")
    assert "<script" not in json.dumps(figures(text))
    assert "<" not in text.partition('id="figures">')[2].partition("</script>")[0]


def test_all_tables_are_there_to_be_copied(whole: str) -> None:
    """As Markdown, machine and versions among them."""
    area = whole.partition('id="markdown"')[2].partition("</textarea>")[0]

    assert "| batch size | split/s | rounds | × size 1 |" in area
    assert "| 100 | 173,097 | −3 +3% | 77 | 290,000 | 1,000,000 | 938,937 |" in area
    assert "| grpcio | 1.85.3 |" in area


def test_a_bar_in_a_name_does_not_end_a_cell_of_markdown() -> None:
    """It is escaped."""
    claims = [("test_a|b", Measured(group="comparisons", comparisons=[compared(2)]))]

    assert "| test_a\\|b |" in render(session(claims))


def test_without_scripts_the_reader_is_sent_to_the_tables(whole: str) -> None:
    """Every figure is in one of them."""
    page = Page(whole)

    assert "noscript" in dict(page.tags)
    assert "677,786" in page.of("td")


def test_without_plotly_a_report_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In one line, and nothing is written."""
    monkeypatch.setattr(page_module, "find_spec", {"plotly": None}.__getitem__)

    with pytest.raises(UsageError, match=r"pip install 'pytest-grpc-pipeline\[test\]'"):
        write(session(), tmp_path / "report.html")

    assert list(tmp_path.iterdir()) == []


def test_a_page_that_can_not_be_written_leaves_the_earlier(tmp_path: Path) -> None:
    """A folder in its place is not removed, and no draft stays behind."""
    (tmp_path / "report.html").mkdir()

    with pytest.raises(SinkError):
        write(session(), tmp_path / "report.html")

    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_the_library_that_draws_is_in_the_page_once(whole: str) -> None:
    """It is most of the page, however many charts there are."""
    assert whole.count("* plotly.js v") == 1
