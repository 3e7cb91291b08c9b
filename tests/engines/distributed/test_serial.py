"""Parts committed in order give what the monolith gives; the parts run here."""

from __future__ import annotations

import gzip
import re
import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.batching import BatchLimits
from pipeline.engines.base import RunSettings
from pipeline.engines.distributed.engine import DistributedEngine
from pipeline.engines.distributed.executor import (
    Pending,
    SerialExecutor,
    in_order,
)
from pipeline.engines.monolith import MonolithEngine
from pipeline.errors import FunctionError, SourceError, UsageError
from pipeline.reject_limit import RejectLimit
from pipeline.workload import Workload
from pipeline.workloads import workload_named
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.generate import generate_events
from pipeline.workloads.lines import LINES, line_source
from pipeline.workloads.mixed.source import mixed_source
from pipeline.workloads.work_items.source import work_item_source
from tests.engines.conftest import SettingsFor
from tests.engines.distributed.runs import cut_small, outcome, serial_engine
from tests.engines.failing import failed, failure, with_rules
from tests.engines.test_failures import (
    PURCHASE_AT_8,
    exploding_read,
    exploding_rules,
    losing,
    miscounting,
    unlike,
)

DATA = b"".join(generate_events(300, seed=1, users=5, malformed=0.05))
SMALL = cut_small(EVENTS, 64, 400)


class CountingExecutor(SerialExecutor):
    """Counts what was submitted."""

    def __init__(self) -> None:
        self.functions: list[str] = []

    def submit(self, function: Callable[[Any], Any], item: Any, /) -> Pending:
        """Count the call."""
        name = getattr(function, "func", function)
        self.functions.append(name.__name__)
        return super().submit(function, item)


def submitted(run: RunSettings) -> list[str]:
    """Run, and return the names of the functions that were submitted."""
    executor = CountingExecutor()
    DistributedEngine("counting", lambda: nullcontext(executor)).run(run)
    return executor.functions


def test_a_file_is_counted_and_runs_in_parts(settings_for: SettingsFor) -> None:
    """Workers count and read the file; the driver does not open it."""
    functions = submitted(settings_for(DATA, 10, workload=SMALL))

    assert functions[0] == "count_line_ends"
    assert len(functions) == 31
    assert set(functions[1:]) == {"run_part"}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(gzip.compress(DATA), id="compressed"),
        pytest.param(DATA.replace(b"\n", b"\r\n"), id="CR LF"),
        pytest.param(DATA.removesuffix(b"\n"), id="no last line end"),
        pytest.param(DATA + b"x" * 9000 + b"\n" + DATA, id="too long"),
        pytest.param(b"\xef\xbb\xbf" + DATA, id="byte order mark"),
        pytest.param(b"\xef\xbb\xbf", id="byte order mark only"),
        pytest.param(b"", id="empty"),
    ],
)
@pytest.mark.parametrize("max_records", [0, 123])
def test_any_kind_of_file_gives_the_same(
    settings_for: SettingsFor, data: bytes, max_records: int
) -> None:
    """Whether it is divided or fed by the driver."""
    run = settings_for(data, 10, workload=SMALL, max_records=max_records)
    source = line_source(run.input, max_line_bytes=8000)
    run = replace(run, source=source)

    assert outcome(serial_engine(), run) == outcome(MonolithEngine(), run)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("work-items", work_item_source(150, payload_size="small", iterations=20)),
        ("mixed", mixed_source(150, work_ratio=0.3, iterations=20)),
    ],
)
@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_records_that_are_made_give_the_same(
    tmp_path: Path, name: str, source: Any, batch_size: int
) -> None:
    """Work items in parts of their own, mixed records from the driver."""
    run = RunSettings(
        workload=workload_named(name),
        source=source,
        input="",
        output=tmp_path / "out",
        rejects=tmp_path / "rejects",
        limits=BatchLimits(batch_size),
    )

    assert outcome(serial_engine(), run) == outcome(MonolithEngine(), run)


def test_standard_input_is_fed_by_the_driver(
    settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Workers have another one."""
    (tmp_path / "stdin").write_bytes(DATA)
    run = settings_for(DATA, 10, source=line_source("-"), input="-")
    expected = outcome(MonolithEngine(), settings_for(DATA, 10))

    with (tmp_path / "stdin").open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert outcome(serial_engine(), run) == expected


@pytest.mark.parametrize("divided", [True, False], ids=["divided", "fed"])
@pytest.mark.parametrize("function", [exploding_rules, unlike, losing, miscounting])
def test_a_broken_stage_fails_the_run_with_the_words_of_the_monolith(
    settings_for: SettingsFor, divided: bool, function: Any
) -> None:
    """Stage, batch and record are those of the whole run."""
    workload = with_rules(function)
    if divided:
        workload = cut_small(workload, 64, 1)
    run = settings_for(PURCHASE_AT_8, 5, workload=workload)

    expected = failed(MonolithEngine(), run)

    assert failure(serial_engine(), run, type(expected)) == str(expected)


def test_the_traceback_of_a_function_comes_from_the_worker(
    settings_for: SettingsFor,
) -> None:
    """With the frames of whoever wrote the function, and no other."""
    workload = cut_small(with_rules(exploding_rules), 64, 1)

    error = failed(serial_engine(), settings_for(PURCHASE_AT_8, 5, workload=workload))

    assert isinstance(error, FunctionError)
    frames = re.findall(r"in (\w+)\n", error.traceback)
    assert frames == ["exploding_rules", "explode"]


def test_a_source_that_raises_fails_the_run_after_the_batches_before(
    settings_for: SettingsFor,
) -> None:
    """The first failure by order is told: that of the source, or of a batch before."""
    source = replace(LINES, read=exploding_read)
    later = replace(EVENTS, source=source)
    earlier = replace(with_rules(unlike), source=source)

    for workload in (later, earlier):
        run = settings_for(PURCHASE_AT_8, 5, workload=workload)
        expected = failed(MonolithEngine(), run)
        assert failure(serial_engine(), run, FunctionError) == str(expected)


@pytest.mark.parametrize("limit", ["3", "1%"])
def test_too_many_rejects_fail_the_run_with_the_words_of_the_monolith(
    settings_for: SettingsFor, limit: str
) -> None:
    """A number is checked after each batch, whatever part the batch is in."""
    parsed = RejectLimit.parsed(limit)
    run = settings_for(DATA, 10, workload=SMALL, reject_limit=parsed)

    expected = failure(MonolithEngine(), run, SourceError)

    assert failure(serial_engine(), run, SourceError) == expected


def test_a_source_with_a_function_of_its_own_is_not_divided(
    settings_for: SettingsFor,
) -> None:
    """The division knows nothing of what the function does."""

    def first_only(*args: Any) -> Iterable[Any]:
        yield next(iter(LINES.read(*args)))

    workload: Workload = replace(SMALL, source=replace(SMALL.source, read=first_only))

    report = serial_engine().run(settings_for(DATA, 10, workload=workload))

    assert report.records.ingested == 10


def test_progress_is_told_and_time_is_accounted(settings_for: SettingsFor) -> None:
    """By batch, and by stage from the workers."""
    told: list[int] = []
    run = settings_for(DATA, 10, workload=SMALL, on_progress=told.append)

    report = serial_engine().run(run)

    assert told == [*range(10, 301, 10)]
    assert all(stage.seconds.process > 0 for stage in report.stages.values())


@pytest.mark.parametrize("window", [1, 3])
def test_no_more_than_a_window_is_in_flight(window: int) -> None:
    """An item is taken when there is room for it."""
    taken: list[int] = []

    def items() -> Iterable[int]:
        for number in range(10):
            taken.append(number)
            yield number

    got = in_order(SerialExecutor(), lambda item: item, items(), window)

    for number, item in enumerate(got):
        assert item == number
        assert len(taken) <= number + window + 1


def test_a_window_below_one_is_refused() -> None:
    """Nothing could ever be submitted."""
    with pytest.raises(UsageError, match=r"^window 0: must be 1 or more$"):
        serial_engine(window=0)
