"""Compare the stages in each language; every result is that of the monolith."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from pipeline.languages import LANGUAGES, SERVED
from pytest_pipeline.measure.languages import Languages, not_built
from pytest_pipeline.measure.results import LanguageRuns, Measured, Record

#: Iterations of work items, from hardly any work to far more than a message costs.
ITERATIONS = (100, 1000, 10_000, 50_000)
#: Work items of a batch: so many that messages are few, and so few that a run is short.
ITEMS = 10
#: Batch sizes of one stage alone: where the load is nearly all of the cost, and where
#: it is not.
SIZES_ALONE = (1, 100, 1000)

Compare = Callable[[Measured, Callable[[], list[LanguageRuns]]], list[LanguageRuns]]


@pytest.fixture
def compare(benchmark: BenchmarkFixture, pipeline_record: Record) -> Compare:
    """Compare the languages once, and add what was found to the results."""
    benchmark.group = "languages"

    def compare(
        what: Measured, find: Callable[[], list[LanguageRuns]]
    ) -> list[LanguageRuns]:
        found: list[LanguageRuns] = benchmark.pedantic(find)
        pipeline_record.note(msgspec.structs.replace(what, languages=found))
        return found

    return compare


def accounted_stages(found: list[LanguageRuns]) -> set[str]:
    """Return the stages that told their CPU time and memory, in every language."""
    return set.intersection(
        *(
            {stage for stage, cpu_s in one.cpu_s.items() if cpu_s > 0}
            & {stage for stage, peak in one.peak_rss_bytes.items() if peak > 0}
            for one in found
        )
    )


def test_stages_are_built(language: str) -> None:
    """The stages in this language are built, or the comparison leaves them out."""
    if reason := not_built().get(language):
        pytest.skip(reason)
    assert LANGUAGES[language].program()


@pytest.fixture(scope="module")
def events(languages_of: Callable[..., Languages]) -> Languages:
    """The languages, with servers of events."""
    return languages_of("events")


def test_events(compare: Compare, events: Languages, batch_size: int) -> None:
    """Events pass the whole pipeline, with all stages in each language and in a mix."""
    found = compare(
        Measured(group="languages", workload="events", batch_size=batch_size),
        lambda: events.in_the_pipeline(batch_size),
    )

    assert accounted_stages(found) == set(SERVED["events"])


def test_events_at_the_best_batch_size(compare: Compare, events: Languages) -> None:
    """Each language has its own best batch size."""
    found = compare(
        Measured(group="languages", workload="events"), events.at_their_best
    )

    assert accounted_stages(found) == set(SERVED["events"])


@pytest.mark.parametrize("iterations", ITERATIONS)
def test_work_items(
    compare: Compare, languages_of: Callable[..., Languages], iterations: int
) -> None:
    """Work items pass the whole pipeline, from light ones to CPU-bound ones."""
    languages = languages_of("work-items", iterations=iterations)

    found = compare(
        Measured(
            group="languages",
            workload="work-items",
            batch_size=ITEMS,
            iterations=iterations,
        ),
        lambda: languages.in_the_pipeline(ITEMS),
    )

    assert accounted_stages(found) == {"ingest", *SERVED["work-items"]}


@pytest.mark.parametrize("size", SIZES_ALONE)
@pytest.mark.parametrize("stage", SERVED["events"])
def test_stage_alone(
    compare: Compare, events: Languages, stage: str, size: int
) -> None:
    """One stage answers the same load in each language, without a pipeline."""
    found = compare(
        Measured(group="languages", workload="events", batch_size=size, stage=stage),
        lambda: events.alone(stage, size),
    )

    assert accounted_stages(found) == {stage}
