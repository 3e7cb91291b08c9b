"""What the comparison of languages shows."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pytest_pipeline.measure.results import Measured
from pytest_pipeline.report.charts.languages import speeds
from pytest_pipeline.report.charts.model import Series
from pytest_pipeline.report.languages import language_answers
from pytest_pipeline.report.tables import languages_tables
from pytest_pipeline.report.terminal import answers
from tests.report.language_sessions import language_runs, languages
from tests.report.sessions import session

MATTERS_LITTLE, DEBUG_COSTS, TYPESCRIPT_LEADS = range(3)


def at_the_best_size(**speeds: float) -> tuple[str, Measured]:
    """Return events at the best batch size, with these throughputs."""
    return (
        "test_events_at_the_best_batch_size",
        Measured(
            group="languages",
            workload="events",
            languages=[
                language_runs(name.replace("_", "-"), 5000, per_s)
                for name, per_s in speeds.items()
            ],
        ),
    )


@pytest.mark.parametrize(
    ("rust", "verdict"),
    [
        (1.03, "holds"),
        (1.5, "does not hold"),
        (0.6, "does not hold"),
        (1.1, "can't tell"),
    ],
)
def test_the_language_matters_little_if_the_interval_is_within_a_tenth(
    rust: float, verdict: str
) -> None:
    """Rust may be slower or faster than TypeScript, by less than 1.1 times."""
    measured = at_the_best_size(python=1e6, rust=rust * 1e6, typescript=1e6)

    (_, said) = language_answers(session([measured]))[MATTERS_LITTLE]

    assert said.startswith("with batching the language matters little")
    assert said.endswith(f": {verdict}")


@pytest.mark.parametrize(
    ("debug", "verdict"), [(0.5, "holds"), (1.0, "does not hold"), (0.91, "can't tell")]
)
def test_a_debug_build_costs_a_lot_if_release_is_a_tenth_faster(
    debug: float, verdict: str
) -> None:
    """By the whole interval."""
    measured = at_the_best_size(python=1e6, rust=1e6, rust_debug=debug * 1e6)

    ((_, said),) = language_answers(session([measured]))

    assert said.startswith("a debug build costs a lot")
    assert said.endswith(f": {verdict}")


def test_claims_about_work_go_by_the_most_work() -> None:
    """Of items from light ones to CPU-bound ones."""
    said = [text for _, text in language_answers(session(languages()))]

    assert said[TYPESCRIPT_LEADS] == (
        "TypeScript leads at CPU-bound work (published: rust 0.72 × typescript): at "
        "50,000 iterations, batch size 10 rust is 3.94 (3.83 to 4.08) × typescript: "
        "does not hold"
    )


def test_what_the_orchestrator_hides_is_said() -> None:
    """A stage alone gains more from its language than the whole pipeline."""
    (*_, (workload, said)) = language_answers(session(languages()))

    assert workload == "events"
    assert said == (
        "what the orchestrator hides: at batch size 1,000 parse alone in rust is 4.97 "
        "(4.79 to 5.15) × python; the whole pipeline with all stages in rust is 1.49 "
        "(1.44 to 1.54) ×, and of its CPU for a record the orchestrator takes 1 µs and "
        "the stages 2 µs"
    )


def test_a_failed_comparison_has_no_answers() -> None:
    """Its results may differ."""
    failed = replace(session(languages()), failures=[("test_events[10]", "differs")])

    assert {said.partition(",")[0] for _, said in language_answers(failed)} == {
        "no answer"
    }


def test_the_answers_are_told_in_the_terminal() -> None:
    """Each after its workload."""
    told = answers(session(languages()))

    assert [line.partition(":")[0] for line in told] == [
        "events",
        "events",
        "work-items",
        "events",
    ]


def test_each_language_has_a_row_with_its_ratio_to_python() -> None:
    """Python's own has none."""
    whole, *_ = languages_tables(session(languages()))

    assert whole.title == "Languages: events, the whole pipeline"
    rows = [dict(zip(whole.columns, row, strict=True)) for row in whole.rows]
    assert [row["stages in"] for row in rows[:4]] == [
        "python",
        "rust",
        "rust-debug",
        "typescript",
    ]
    assert [row["× python"] for row in rows[:4]] == ["", "1.49", "1.19", "1.40"]
    assert rows[1]["interval"] == "1.44–1.54"
    assert rows[-1]["batch size"] == "best: 5,000"


def test_each_stage_alone_has_a_row() -> None:
    """With the CPU of the load beside its own."""
    *_, alone = languages_tables(session(languages()))

    assert alone.columns == (
        *("stage", "in", "batch size", "/s", "× python", "interval"),
        *("stage µs", "load µs"),
    )
    assert [row[:3] for row in alone.rows[:2]] == [
        ("parse", "python", "1,000"),
        ("parse", "rust", "1,000"),
    ]


def test_each_workload_has_a_chart_with_a_line_for_each_language() -> None:
    """By batch size, without the best one, which differs; or by work."""
    charts = speeds([one for _, one in languages() if not one.stage])

    assert [chart.title for chart in charts] == [
        "Languages: events by batch size",
        "Languages: work-items by work",
    ]
    for chart, places in zip(charts, ([100, 1000], [100, 50_000]), strict=True):
        (panel,) = chart.panels
        lines = [mark for mark in panel.marks if isinstance(mark, Series)]
        assert [line.name for line in lines] == [
            "python",
            "rust",
            "rust-debug",
            "typescript",
        ]
        assert all([point.x for point in line.points] == places for line in lines)


def test_a_single_batch_size_has_no_chart() -> None:
    """A line needs two points."""
    assert speeds([one for _, one in languages()[:1]]) == []
