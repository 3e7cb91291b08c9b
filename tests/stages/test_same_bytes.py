"""A run gives the same bytes with stages in every language, and in several."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from pipeline.engines.base import RunSettings
from pipeline.engines.monolith import MonolithEngine
from pipeline.engines.split import SplitEngine
from pipeline.workloads.events.generate import generate_events
from pytest_pipeline import strategies
from tests.stages.conftest import StartServers, addresses, outcome, programs

BATCH_SIZES = (1, 7, 100, 1000)

each_batch_size = pytest.mark.parametrize("batch_size", BATCH_SIZES)


@pytest.mark.parametrize("workload", ["events", "work-items"])
def test_runs_are_those_of_the_monolith(
    of: str, workload: str, run_settings: Callable[[str], RunSettings]
) -> None:
    """Result and rejects, at each batch size, 5 % of the lines malformed."""
    run = run_settings(workload)
    if run.input:
        lines = generate_events(5000, seed=1, users=50, malformed=0.05)
        Path(run.input).write_bytes(b"".join(lines))
    expected = outcome(MonolithEngine(), run, 100)
    engine = SplitEngine(programs=programs(of, run.workload))

    for batch_size in BATCH_SIZES:
        assert outcome(engine, run, batch_size) == expected, f"batch size {batch_size}"


@each_batch_size
def test_any_file_gives_what_the_monolith_gives(
    of: str,
    batch_size: int,
    run_settings: Callable[[str], RunSettings],
    start_servers: StartServers,
) -> None:
    """250 generated files at each batch size, with lines of every malformed kind."""
    run = run_settings("events")
    engine = SplitEngine(addresses(start_servers(of, "events")))

    @given(strategies.event_files())
    @settings(
        max_examples=250,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    def check(data: bytes) -> None:
        Path(run.input).write_bytes(data)
        expected = outcome(MonolithEngine(), run, batch_size)
        assert outcome(engine, run, batch_size) == expected

    check()
