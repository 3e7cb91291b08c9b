"""Runs that must fail, and what they must leave as it was."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pipeline.engines.base import Engine, RunSettings
from pipeline.errors import PipelineError
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
    """Say whether a sink in another thread discards its draft within ten seconds."""
    deadline = time.monotonic() + 10
    while list(folder.glob(pattern)):
        if time.monotonic() > deadline:
            return False
    return True
