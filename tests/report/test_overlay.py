"""A session with an earlier one overlaid."""

from __future__ import annotations

from msgspec.structs import replace

from pytest_pipeline.measure.results import Measured, Session
from pytest_pipeline.report.changes import changed, changes_table, unlike
from pytest_pipeline.report.charts.model import Series
from pytest_pipeline.report.session_page import page_of, render
from tests.report.drawn import charts_of, series_of
from tests.report.sessions import (
    MACHINE,
    batching,
    comparisons,
    crossover,
    latency,
    rounds,
    session,
    transports,
)

OLD = replace(
    session(batching(slower=1.25)),
    when="2026-02-01T12:00:00+00:00",
    commit="0a1b2c3d",
)


def overlaid(now: Session, before: Session) -> list[dict[str, Series]]:
    """Return the series of each chart."""
    return [series_of(chart) for chart in charts_of(page_of(now, before))]


def batch_sizes(series: Series) -> list[str]:
    """Return where the points of a series are, as their tooltips say."""
    return [point.text.splitlines()[1] for point in series.points]


def test_earlier_throughput_is_in_the_same_chart() -> None:
    """It has colour, dashes and marker of the series now, but is marked as before."""
    drawn = overlaid(session(batching()), OLD)[0]
    now, before = drawn["split"], drawn["split, before"]

    assert len(drawn) == 10
    assert before.points[3].y == 173_097 / 1.25
    assert before.before
    assert not now.before
    assert (before.colour, before.dash, before.marker) == (
        *(now.colour, now.dash, now.marker),
    )
    assert drawn["monolith, record by record, before"].points[0].y == 42_828 / 1.25


def test_only_series_of_both_sessions_are_overlaid() -> None:
    """A batch size of one session alone is drawn."""
    of = {name: measured for name, measured in batching() if "split" in name}
    one_more = dict(list(of.items())[1:])

    drawn = overlaid(session(list(one_more.items())), OLD)[0]
    assert list(drawn) == ["split", "split, before"]
    assert drawn["split, before"].points[0].x == 1
    drawn = overlaid(session(batching()), session(list(of.items())))[0]
    assert [name for name in drawn if "before" in name] == ["split, before"]


def test_earlier_crossover_and_latency_are_overlaid() -> None:
    """Latency only at equal batch size and rate."""
    (_, first), *others = latency()
    assert first.latency is not None
    slow = replace(first, latency=replace(first.latency, rate_per_s=500.0))
    earlier = session(crossover()[1:], [("slow", slow), *others])

    work, delays = overlaid(session(crossover(), latency()), earlier)

    assert list(work) == [
        "gain from batching",
        "gain from batching, before",
        "processing's share of CPU",
        "processing's share of CPU, before",
    ]
    assert len(work["gain from batching, before"].points) == 5
    sizes = [f"batch size {size}" for size in ("1", "10", "100", "1,000")]
    assert batch_sizes(delays["service"]) == sizes
    assert batch_sizes(delays["service, before"]) == sizes[1:]


def test_the_table_lists_changes_of_benchmarks_in_both() -> None:
    """As a ratio of throughputs, and whether the rounds overlap."""
    fast = {"test_transports[unix-1]": 2_200.0, "test_transports[tcp-1]": 1_000.0}
    earlier = [
        (name, replace(of, throughput_per_s=rounds(fast.get(name, 9e6))))
        for name, of in transports()[:3]
    ]

    table = changes_table(session(transports()), session(earlier))

    assert table.rows == (
        ("test_transports[unix-1]", "2,200", "2,251", "1.02", "overlap"),
        ("test_transports[tcp-1]", "1,000", "2,102", "2.10", "▲ all above"),
        ("test_transports[tls-1]", "9,000,000", "1,840", "0.00", "▼ all below"),
    )
    assert "For looking, not for judging" in table.note
    assert "pytest --pipeline-gate-against" in table.note


def test_a_test_that_measured_something_else_is_not_compared() -> None:
    """An equal name is not enough."""
    other = [(name, replace(of, workload="mine")) for name, of in transports()]

    assert changes_table(session(transports()), session(other)).rows == ()
    assert changed(session(transports()), session(other)) == [
        ("nothing to compare", "no benchmark has a throughput in both")
    ]


def test_changes_are_summarized() -> None:
    """The summary says that it is no verdict."""
    two = batching()[:2]
    slower = [two[0], (two[1][0], _slower(two[1][1], by=4))]

    (what, said), (no_verdict, _) = changed(session(two), session(slower))

    assert what == "2 benchmarks of both"
    assert said == (
        "now 2.00 times as many records per second, in the geometric mean; from 1.00 "
        "(test_split[events-1]) to 4.00 (test_split[events-10])"
    )
    assert no_verdict == "no verdict"


def _slower(measured: Measured, by: float) -> Measured:
    speeds = [speed / by for speed in measured.throughput_per_s]
    return replace(measured, throughput_per_s=speeds)


def test_the_top_of_the_page_names_both_sessions() -> None:
    """With their times, commits and machine, and the changes."""
    now = replace(session(batching()), commit="4e5f6071 with changes")
    head = render(now, OLD).split("<section", maxsplit=1)[0]

    assert (
        "Measured 2026-03-01 12:00 UTC, at commit 4e5f6071 with changes. "
        "Before: 2026-02-01 12:00 UTC, at commit 0a1b2c3d."
    ) in head
    assert "28 benchmarks of both" in head
    assert "CPython 3.11.7, both times" in head
    assert "differ" not in head


def test_different_machines_and_versions_are_noticed() -> None:
    """At the top of the page."""
    older = {**MACHINE.versions, "numpy": "2.3.0", "scipy": "1.15.0"}
    del older["pytest"]
    other = replace(OLD, machine=replace(MACHINE, processor="AMD EPYC", versions=older))
    machine, versions = unlike(session(batching()), other)
    head = render(session(batching()), other).split("<section", maxsplit=1)[0]

    assert machine == (
        "The machines differ, and so do their times: processor Intel(R) Xeon(R) "
        "Processor @ 2.60GHz, before AMD EPYC."
    )
    assert versions == (
        "The versions differ: numpy 2.4.6, before 2.3.0; pytest 9.2.0, before none; "
        "scipy none, before 1.15.0."
    )
    assert machine in head
    assert "before, AMD EPYC" in head


def test_without_common_throughput_there_is_no_table_of_changes() -> None:
    """Nor a section for it."""
    text = render(session(comparisons()), OLD)

    assert "What has changed</h2>" not in text
    assert "Throughput now and before" not in text
