"""Runs that must fail, and what they must leave as it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.engines.base import Engine, RunSettings
from pipeline.engines.monolith import MonolithEngine
from pipeline.engines.split import SplitEngine
from pipeline.errors import PipelineError
from pipeline.stages import Output, Stage
from pipeline.transport.folders import ServedFolders
from pipeline.transport.server import StageServer
from pipeline.v1.events_pb2 import Amounts, Events
from pipeline.workload import Workload
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.generate import generate_events

DATA = b"".join(generate_events(100, seed=1, users=5))


def failure(engine: Engine, run: RunSettings, expected: type[PipelineError]) -> str:
    """Run, expect an error, and check that no file was touched; return its message."""
    error = failed(engine, run)
    assert type(error) is expected
    message = str(error)
    assert "\n" not in message
    return message


def failed(engine: Engine, run: RunSettings) -> PipelineError:
    """Run, expect an error, and check that no file was touched; return it."""
    assert run.rejects is not None
    earlier = dict.fromkeys((run.output, run.rejects), b"earlier")
    for path, data in earlier.items():
        if path.parent.is_dir() and not path.is_dir():
            path.write_bytes(data)
    with pytest.raises(PipelineError) as raised:
        engine.run(run)
    for path, data in earlier.items():
        assert not path.is_file() or path.read_bytes() == data
        assert is_soon_gone(path.parent, ".*.partial")
    return raised.value


def is_soon_gone(folder: Path, pattern: str) -> bool:
    """Return whether no file matches ``pattern`` within ten seconds."""
    deadline = time.monotonic() + 10
    while list(folder.glob(pattern)):
        if time.monotonic() > deadline:
            return False
    return True


def with_rules(function: Callable[[Events], Output[Amounts]]) -> Workload:
    """Return the events workload with ``function`` as its rules."""
    return replace(
        EVENTS,
        transforms=tuple(
            Stage("rules", Events, Amounts, function)
            if stage.name == "rules"
            else stage
            for stage in EVENTS.transforms
        ),
    )


@contextmanager
def engine_for(name: str, workload: Workload, folder: Path) -> Iterator[Engine]:
    """Make an engine that runs ``workload``; the split's servers are in this process.

    Args:
        name: "monolith" or "split".
        workload: It needs no name.
        folder: Where the files of the run are, and the servers' sockets.
    """
    if name == "monolith":
        yield MonolithEngine()
        return
    servers = {
        stage: StageServer(
            workload, stage, f"unix:{folder}/{stage}.own", ServedFolders([folder])
        )
        for stage in workload.stage_names
    }
    yield SplitEngine({stage: server.address for stage, server in servers.items()})
    for server in servers.values():
        server.stop_now()
