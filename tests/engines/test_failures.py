"""A run that fails says why, and leaves earlier files alone, under either engine."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Never, cast

import pytest

from pipeline.batching import BatchLimits
from pipeline.engines.base import Engine
from pipeline.engines.monolith import MonolithEngine
from pipeline.engines.split import SplitEngine
from pipeline.errors import (
    ConservationError,
    ContractError,
    FunctionError,
    PipelineError,
    SinkError,
    SourceError,
)
from pipeline.source import Opener
from pipeline.stages import Output, Stage
from pipeline.transport.folders import ServedFolders
from pipeline.transport.server import StageServer
from pipeline.v1.events_pb2 import EVENT_TYPE_PURCHASE, Amounts, Events, Totals
from pipeline.v1.lines_pb2 import Lines, LineSource
from pipeline.workload import Workload
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.aggregate import TotalsByType
from pipeline.workloads.events.rules import rules
from pipeline.workloads.lines import LINES, line_source, read_lines
from tests.engines.conftest import SettingsFor
from tests.engines.failing import DATA, engine_for, failed, failure, with_rules


@pytest.fixture(params=["monolith", "split"])
def engine(request: pytest.FixtureRequest, addresses: dict[str, str]) -> Engine:
    """Both engines in turn."""
    return MonolithEngine() if request.param == "monolith" else SplitEngine(addresses)


def test_an_empty_source_is_an_error(engine: Engine, settings_for: SettingsFor) -> None:
    """Nothing in is nothing to publish: an earlier result is worth more."""
    message = failure(engine, settings_for(b""), SourceError)

    assert message == "the source holds no records; nothing was published"


def test_a_missing_file_is_named(
    engine: Engine, settings_for: SettingsFor, tmp_path: Path
) -> None:
    """Both engines say which file, and that it is missing."""
    path = tmp_path / "missing.ndjson"
    run = settings_for(b"", source=line_source(path), input=str(path))

    message = failure(engine, run, SourceError)

    assert message == f"can't read {path}: no such file or directory"


def test_a_folder_is_no_source(
    engine: Engine, settings_for: SettingsFor, tmp_path: Path
) -> None:
    """Both engines say that it is one."""
    run = settings_for(b"", source=line_source(tmp_path), input=str(tmp_path))

    assert failure(engine, run, SourceError) == f"can't read {tmp_path}: is a directory"


@pytest.mark.parametrize(
    ("output", "reason"),
    [("missing/out", "no such file or directory"), (".", "it is a folder")],
)
def test_an_output_that_cannot_be_written_is_named(
    engine: Engine,
    settings_for: SettingsFor,
    tmp_path: Path,
    output: str,
    reason: str,
) -> None:
    """Whether the folder is missing or the output is a folder."""
    path = tmp_path / output

    message = failure(engine, settings_for(DATA, output=path), SinkError)

    assert message == f"can't write {path}: {reason}"


def raising(_: Events) -> Output[Amounts]:
    """Fail."""
    raise ZeroDivisionError("no rules today")


def unlike(_: Events) -> Output[Amounts]:
    """Return something else than is declared."""
    return cast("Output[Amounts]", Output(Totals(), records=0))


def losing(events: Events) -> Output[Amounts]:
    """Lose a record without a word."""
    output = rules(events)
    return replace(output, filtered=output.filtered - 1)


def miscounting(events: Events) -> Output[Amounts]:
    """Call a record passed that is not in the message."""
    output = rules(events)
    return replace(output, records=output.records + 1, filtered=output.filtered - 1)


@pytest.mark.parametrize(
    ("function", "expected", "message"),
    [
        (
            raising,
            FunctionError,
            "stage rules: batch 0, from record 1: ZeroDivisionError: no rules today",
        ),
        (
            unlike,
            FunctionError,
            "stage rules: batch 0, from record 1: TypeError: returned Output of Totals",
        ),
        (losing, ContractError, "stage rules was given 100 records in batch 0, but"),
        (miscounting, ContractError, "stage aggregate was given"),
    ],
)
@pytest.mark.parametrize("name", ["monolith", "split"])
def test_a_broken_stage_fails_the_run_by_name(
    settings_for: SettingsFor,
    addresses: dict[str, str],
    tmp_path: Path,
    name: str,
    function: Callable[[Events], Output[Amounts]],
    expected: type[PipelineError],
    message: str,
) -> None:
    """Both engines give the same message for the same fault."""
    workload = with_rules(function)
    run = settings_for(DATA, 1000, workload=workload)
    server = StageServer(
        workload, "rules", f"unix:{tmp_path}/broken", ServedFolders([])
    )
    engine: Engine = (
        MonolithEngine()
        if name == "monolith"
        else SplitEngine({**addresses, "rules": server.address})
    )

    assert failure(engine, run, expected).startswith(message)
    server.stop_now()


def explode() -> Never:
    """Fail, one call below whoever calls it."""
    raise ZeroDivisionError("no luck")


def exploding_read(
    spec: LineSource, limits: BatchLimits, max_records: int, inputs: Opener
) -> Iterator[Output[Lines]]:
    """Fail after the first batch."""
    yield next(read_lines(spec, limits, max_records, inputs))
    explode()


class ExplodingResult(TotalsByType):
    """A result that fails at its third batch."""

    batches = 0

    def add(self, totals: Totals, /) -> bytes:
        """Count."""
        self.batches += 1
        return super().add(totals) if self.batches < 3 else explode()


def exploding_rules(events: Events) -> Output[Amounts]:
    """Fail at batches with a purchase."""
    return rules(events) if EVENT_TYPE_PURCHASE not in events.type else explode()


PURCHASE_AT_8 = b"".join(
    b'{"ts":"2026-01-01T00:00:00Z","type":"%b","user":"u","value":10}\n'
    % (b"purchase" if number == 8 else b"click")
    for number in range(1, 16)
)


@pytest.mark.parametrize("engine_name", ["monolith", "split"])
@pytest.mark.parametrize(
    ("workload", "message", "user_frames"),
    [
        (
            with_rules(exploding_rules),
            "stage rules: batch 1, from record 6: ZeroDivisionError: no luck",
            ["exploding_rules", "explode"],
        ),
        (
            replace(EVENTS, source=replace(LINES, read=exploding_read)),
            "stage ingest: ZeroDivisionError: no luck",
            ["exploding_read", "explode"],
        ),
        (
            replace(EVENTS, new_result=ExplodingResult),
            "stage sink: batch 2, from record 11: ZeroDivisionError: no luck",
            ["add", "explode"],
        ),
    ],
    ids=["transform", "source", "result"],
)
def test_a_function_that_raises_is_found(
    settings_for: SettingsFor,
    tmp_path: Path,
    engine_name: str,
    workload: Workload,
    message: str,
    user_frames: list[str],
) -> None:
    """The message has the stage, the batch and its first record.

    The traceback has the frames of whoever wrote the function, and no other.
    """
    run = settings_for(PURCHASE_AT_8, 5, workload=workload)

    with engine_for(engine_name, workload, tmp_path) as engine:
        error = failed(engine, run)

    assert isinstance(error, FunctionError)
    assert str(error) == message
    assert re.findall(r"in (\w+)\n", error.traceback) == user_frames
    assert error.traceback.endswith("\nZeroDivisionError: no luck\n")


def test_a_result_that_counts_other_records_than_passed_is_not_published(
    settings_for: SettingsFor,
) -> None:
    """The result's own count is compared with that of the run."""

    def forgetful(amounts: Amounts) -> Output[Totals]:
        return Output(Totals(), records=len(amounts.type))

    *others, _ = EVENTS.transforms
    workload = replace(
        EVENTS, transforms=(*others, Stage("aggregate", Amounts, Totals, forgetful))
    )

    message = failure(
        MonolithEngine(), settings_for(DATA, workload=workload), ConservationError
    )

    assert "but the result counts 0 in 100" in message
