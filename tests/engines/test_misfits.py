"""A stage function or source that gives what does not fit fails as one that raises."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.batching import BatchLimits
from pipeline.errors import FunctionError
from pipeline.source import Opener
from pipeline.stages import Output
from pipeline.v1.events_pb2 import Amounts, Events, Totals
from pipeline.v1.lines_pb2 import Lines, LineSource
from pipeline.v1.pipeline_pb2 import Batch, Rejection
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.rules import rules
from pipeline.workloads.lines import LINES, read_lines
from tests.engines.conftest import SettingsFor
from tests.engines.failing import DATA, engine_for, failed, with_rules

# A type checker would not let a function return these.
ANY: Any = Output
COUNT = "must be an int, 0 or more"
REJECTIONS = "must be a sequence of Rejection(record=..., reason=...)"


def misfits(message: Any, other: Any) -> dict[str, tuple[Any, str]]:
    """Return what does not fit where an Output of ``message`` is declared, and why.

    Each would count 100 records if it fitted.
    """
    name, other_name = type(message).__name__, type(other).__name__
    good = Rejection(record=1, reason="bad")
    return {
        "negative records": (
            ANY(message, -1),
            f"ValueError: returned Output with records=-1; {COUNT}",
        ),
        "negative filtered": (
            ANY(message, 101, filtered=-1),
            f"ValueError: returned Output with filtered=-1; {COUNT}",
        ),
        "float records": (
            ANY(message, 100.0),
            f"TypeError: returned Output with records=100.0; {COUNT}",
        ),
        "no records": (
            ANY(message, None),
            f"TypeError: returned Output with records=None; {COUNT}",
        ),
        "another message": (
            ANY(other, 100),
            f"TypeError: returned Output of {other_name}, not of {name}",
        ),
        "bytes": (
            ANY(b"", 100),
            f"TypeError: returned Output of bytes, not of {name}",
        ),
        "nothing": (
            None,
            "TypeError: returned NoneType, not Output(message, records=...)",
        ),
        "a generator": (
            (_ for _ in ()),
            "TypeError: returned generator, not Output(message, records=...)",
        ),
        "a text as rejection": (
            ANY(message, 99, rejections=["bad"]),
            f"TypeError: returned Output with 'bad' among its rejections; {REJECTIONS}",
        ),
        "a number after a rejection": (
            ANY(message, 98, rejections=[good, 2]),
            f"TypeError: returned Output with 2 among its rejections; {REJECTIONS}",
        ),
        "no rejections": (
            ANY(message, 100, rejections=None),
            f"TypeError: returned Output with rejections of NoneType; {REJECTIONS}",
        ),
        "a generator of rejections": (
            ANY(message, 99, rejections=(good for _ in range(1))),
            f"TypeError: returned Output with rejections of generator; {REJECTIONS}",
        ),
    }


@pytest.mark.parametrize("engine_name", ["monolith", "split"])
@pytest.mark.parametrize("what", misfits(Amounts(), Totals()))
def test_a_stage_that_returns_what_does_not_fit_is_named_with_its_batch(
    settings_for: SettingsFor, tmp_path: Path, engine_name: str, what: str
) -> None:
    """The error has the batch, its first record, the reason and a traceback."""
    returned, reason = misfits(Amounts(), Totals())[what]
    calls = []

    def unfit(events: Events) -> Any:
        calls.append(events)
        return rules(events) if len(calls) == 1 else returned

    run = settings_for(DATA * 2, 100, workload=with_rules(unfit))

    with engine_for(engine_name, run.workload, tmp_path) as engine:
        error = failed(engine, run)

    assert isinstance(error, FunctionError)
    assert str(error) == f"stage rules: batch 1, from record 101: {reason}"
    assert error.traceback == f"{reason}\n"


@pytest.mark.parametrize("engine_name", ["monolith", "split"])
@pytest.mark.parametrize("what", misfits(Lines(), Totals()))
def test_a_source_that_yields_what_does_not_fit_is_named_with_its_batch(
    settings_for: SettingsFor, tmp_path: Path, engine_name: str, what: str
) -> None:
    """The error has the batch, its first record, the reason and a traceback."""
    yielded, reason = misfits(Lines(), Totals())[what]

    def read(
        spec: LineSource, limits: BatchLimits, max_records: int, inputs: Opener
    ) -> Iterator[Output[Lines]]:
        yield next(read_lines(spec, limits, max_records, inputs))
        yield yielded

    workload = replace(EVENTS, source=replace(LINES, read=read))
    run = settings_for(DATA, 10, workload=workload)

    with engine_for(engine_name, workload, tmp_path) as engine:
        error = failed(engine, run)

    assert isinstance(error, FunctionError)
    assert str(error) == f"stage ingest: batch 1, from record 11: {reason}"
    assert error.traceback == f"{reason}\n"


@pytest.mark.parametrize("engine_name", ["monolith", "split"])
def test_numpy_integers_count_records(
    settings_for: SettingsFor, tmp_path: Path, engine_name: str
) -> None:
    """Both engines take them, and the run report can be written."""

    def counted(events: Events) -> Output[Amounts]:
        output = rules(events)
        records: Any = np.int64(output.records)
        filtered: Any = np.int64(output.filtered)
        return replace(output, records=records, filtered=filtered)

    run = settings_for(DATA, 10, workload=with_rules(counted))

    with engine_for(engine_name, run.workload, tmp_path) as engine:
        report = engine.run(run)

    assert report.records.ingested == 100
    assert b'"ingested": 100' in report.to_json()


@pytest.mark.parametrize("engine_name", ["monolith", "split"])
def test_any_sequence_of_rejections_fits(
    settings_for: SettingsFor, tmp_path: Path, engine_name: str
) -> None:
    """A stage may pass on the rejections of a message as they are."""

    def rejecting(events: Events) -> Output[Amounts]:
        output = rules(events)
        refused = [
            Rejection(record=number, reason="unwanted")
            for number in range(1, output.records + 1)
        ]
        # The field of a message is neither a list nor a tuple.
        rejections = Batch(rejections=refused).rejections
        return Output(Amounts(), 0, output.filtered, rejections)

    run = settings_for(DATA, 100, workload=with_rules(rejecting))

    with engine_for(engine_name, run.workload, tmp_path) as engine:
        report = engine.run(run)

    assert report.records.passed == 0
    assert report.rejections == {"unwanted": report.records.rejected}
