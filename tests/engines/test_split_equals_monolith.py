"""The split gives what the monolith gives, byte for byte."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.accounting import RunReport
from pipeline.batching import BatchLimits
from pipeline.engines.base import Engine, RunSettings
from pipeline.engines.monolith import MonolithEngine
from pipeline.engines.split import SplitEngine
from pipeline.engines.window import WindowLimits
from pipeline.errors import SourceError
from pipeline.transport.processes import Transport
from pipeline.workloads.events.generate import generate_events
from pytest_pipeline import strategies
from tests.engines.conftest import SettingsFor

Outcome = tuple[bytes, bytes, Any] | str


def outcome(engine: Engine, run: RunSettings) -> Outcome:
    """Return the result, the rejects and the counts of a run, or why it failed."""
    try:
        report = engine.run(run)
    except SourceError as error:
        return str(error)
    assert run.rejects is not None
    return run.output.read_bytes(), run.rejects.read_bytes(), counts(report)


def counts(report: RunReport) -> Any:
    """Return what of a report must not depend on the engine."""
    return report.workload, report.batches, report.records, report.rejections


@given(
    strategies.event_files(),
    st.integers(1, 25),
    st.integers(1, 400),
    st.integers(0, 25),
    st.builds(WindowLimits, st.integers(1, 4), st.integers(1, 400)),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_gives_the_same_under_any_limits(
    settings_for: SettingsFor,
    addresses: dict[str, str],
    data: bytes,
    batch_size: int,
    batch_bytes: int,
    max_records: int,
    window: WindowLimits,
) -> None:
    """Result, rejects and counts are those of the monolith, event by event.

    Whatever the lines, the batch size, the byte limit, the maximum of records and the
    window of the legs are.
    """
    one_by_one = settings_for(data, 1, max_records=max_records)
    run = replace(one_by_one, limits=BatchLimits(batch_size, batch_bytes))
    expected = outcome(MonolithEngine(), one_by_one)

    monolith = outcome(MonolithEngine(), run)
    split = outcome(SplitEngine(addresses, window=window), run)

    assert split == monolith
    assert without_batches(split) == without_batches(expected)


def without_batches(what: Outcome) -> Any:
    """Leave the number of batches out, which the batch size decides."""
    if isinstance(what, str):
        return what
    result, rejects, (workload, _, records, rejections) = what
    return result, rejects, workload, records, rejections


@pytest.mark.parametrize("transport", ["unix", "tcp"])
@pytest.mark.parametrize("batch_size", [1, 10, 50, 100, 1000, 100_000])
def test_server_processes_give_the_same_at_each_batch_size(
    settings_for: SettingsFor, batch_size: int, transport: Transport
) -> None:
    """With real processes over both transports, malformed lines among the events."""
    data = b"".join(generate_events(1000, seed=1, users=50, malformed=0.05))
    run = settings_for(data, batch_size)
    expected = outcome(MonolithEngine(), run)

    assert outcome(SplitEngine(transport=transport), run) == expected


@pytest.mark.parametrize("batch_size", [1, 7, 100, 1000])
def test_stream_writes_are_three_for_each_batch(
    settings_for: SettingsFor, addresses: dict[str, str], batch_size: int
) -> None:
    """Emptied by a filter or not, a batch crosses each leg in one message."""
    line = b'{"ts":"2026-01-01T00:00:00Z","type":"view","user":"u","value":1}\n'
    run = settings_for(line * 250, batch_size)

    report = SplitEngine(addresses).run(run)

    batches = math.ceil(250 / batch_size)
    assert report.stream_writes == 3 * batches
    for name in ("parse", "rules", "aggregate"):
        stage = report.stages[name]
        assert (stage.messages_in, stage.messages_out) == (batches, batches)
        assert stage.bytes_in > 0
        assert stage.bytes_out > 0


def test_every_stage_accounts_for_its_time(
    settings_for: SettingsFor, addresses: dict[str, str]
) -> None:
    """Each transform has spent something in every phase, and no more CPU than time."""
    run = settings_for(b"".join(generate_events(300, seed=1, users=5)), 10)

    report = SplitEngine(addresses).run(run)

    assert 0 < report.ipc_share < 1
    for name in ("parse", "rules", "aggregate"):
        stage = report.stages[name]
        phases = [
            getattr(stage.seconds, name) for name in stage.seconds.__struct_fields__
        ]
        assert min(phases) > 0
        assert sum(phases) < 2 * report.elapsed_s
        assert stage.cpu_s > 0
        assert stage.peak_rss_bytes > 1024 * 1024


def test_rejects_are_in_the_file_once_with_line_number_and_reason(
    settings_for: SettingsFor, addresses: dict[str, str]
) -> None:
    """The number is the one that an editor shows for the line."""
    good = '{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":10}'
    data = f"{good}\nnonsense\n\n{good}\n{good.replace('click', 'buy')}\n".encode()
    run = settings_for(data, 2)

    SplitEngine(addresses).run(run)

    assert run.rejects is not None
    assert [json.loads(line) for line in run.rejects.read_text().splitlines()] == [
        {"record": 2, "stage": "parse", "reason": "malformed_json"},
        {"record": 3, "stage": "parse", "reason": "blank_line"},
        {"record": 5, "stage": "parse", "reason": "unknown_type", "field": "type"},
    ]
