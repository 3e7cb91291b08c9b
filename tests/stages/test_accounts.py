"""What stages in other languages tell of themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.engines.base import RunSettings
from pipeline.engines.split import SplitEngine
from pipeline.workloads.events.generate import generate_events
from tests.stages.conftest import NAMES, StartServers, addresses

MIB = 2**20


@pytest.mark.parametrize("name", NAMES)
def test_peak_memory_is_the_stage_s_own(
    name: str, run_settings: Callable[[str], RunSettings], start_servers: StartServers
) -> None:
    """Linux passes a peak on from the process that starts the stage."""
    run = run_settings("events")
    Path(run.input).write_bytes(b"".join(generate_events(100, seed=1, users=10)))
    large = b"x" * (512 * MIB)
    servers = start_servers(name, "events")
    del large

    report = SplitEngine(addresses(servers)).run(run)

    for stage, account in report.stages.items():
        assert MIB < account.peak_rss_bytes < 400 * MIB, stage
