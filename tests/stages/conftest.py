"""What the tests of stages in other languages share."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from pipeline.batching import BatchLimits
from pipeline.engines.base import Engine, RunSettings
from pipeline.errors import SourceError
from pipeline.languages import LANGUAGES, PYTHON, SERVED, Language, cache_folder
from pipeline.transport.processes import ServerProcess, serve_command
from pipeline.workload import Workload
from pipeline.workloads import workload_named
from pipeline.workloads.lines import line_source
from pipeline.workloads.work_items import work_item_source

#: The languages that are not a variant of another one.
NAMES = ("go", "rust", "typescript")
#: One language a stage; Python serves the others.
MIX = {"ingest": "go", "parse": "rust", "rules": "typescript"}

StartServers = Callable[..., dict[str, ServerProcess]]


@cache
def built(name: str) -> Language:
    """Return a language, built; skip the test if its toolchain is missing."""
    language = LANGUAGES[name]
    if why := language.missing_toolchain():
        pytest.skip(f"{name}: {why}")
    language.build()
    return language


def programs(of: str, workload: Workload) -> dict[str, Sequence[str]]:
    """Return the program of each stage in a language, or in the mix."""
    chosen = MIX if of == "mix" else dict.fromkeys(workload.stage_names, of)
    return {
        stage: built(name).program()
        for stage, name in chosen.items()
        if name != PYTHON and stage in SERVED[workload.name]
    }


@pytest.fixture(params=[*NAMES, "mix"])
def of(request: pytest.FixtureRequest) -> str:
    """Each language, and stages in different ones."""
    return str(request.param)


@pytest.fixture(params=NAMES)
def language(request: pytest.FixtureRequest) -> Language:
    """Each language, built."""
    return built(request.param)


@pytest.fixture
def run_settings(tmp_path: Path) -> Callable[[str], RunSettings]:
    """Settings of a run of a workload, whose files are in ``tmp_path``."""

    def run_settings(workload: str) -> RunSettings:
        path = tmp_path / "in.ndjson"
        is_events = workload == "events"
        return RunSettings(
            workload=workload_named(workload),
            source=line_source(path)
            if is_events
            else work_item_source(records=200, iterations=300),
            input=str(path) if is_events else "",
            output=tmp_path / "result.ndjson",
            rejects=tmp_path / "rejects.ndjson",
        )

    return run_settings


@pytest.fixture
def start_servers(tmp_path: Path) -> Iterator[StartServers]:
    """Start the stages of a workload in a language, on Unix sockets."""
    started: list[ServerProcess] = []

    def start(of: str, workload: str) -> dict[str, ServerProcess]:
        stages = workload_named(workload)
        served = programs(of, stages)
        servers = {
            stage: ServerProcess(
                stage,
                serve_command(
                    workload,
                    stage,
                    bind=f"unix:{tmp_path / stage}",
                    folders=[tmp_path],
                    program=served.get(stage, ()),
                ),
                tmp_path / f"{stage}.log",
            )
            for stage in stages.stage_names
        }
        started.extend(servers.values())
        for server in servers.values():
            server.wait_ready(deadline=_deadline())
        return servers

    yield start
    for server in started:
        server.stop()
    for server in started:
        server.reap(_deadline())


def _deadline() -> float:
    return time.monotonic() + 30


def outcome(engine: Engine, settings: RunSettings, batch_size: int) -> object:
    """Return the result and the rejects of a run, or why its source failed it."""
    limited = replace(settings, limits=BatchLimits(records=batch_size))
    try:
        engine.run(limited)
    except SourceError as error:
        return str(error)
    assert limited.rejects is not None
    return limited.output.read_bytes(), limited.rejects.read_bytes()


def addresses(servers: dict[str, ServerProcess]) -> dict[str, str]:
    """Return the address of each stage."""
    return {stage: server.address for stage, server in servers.items()}


def environment() -> dict[str, str]:
    """Return the environment of a language's own tools.

    What cargo has compiled for the programs is compiled for their tests as well.
    """
    return {**os.environ, "CARGO_TARGET_DIR": str(cache_folder() / "cargo-target")}
