"""Runs that crash in the middle, and resume."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pipeline.accounting import RunReport
from pipeline.engines.base import Engine, RunSettings
from pipeline.engines.monolith import MonolithEngine
from pipeline.errors import FunctionError
from pipeline.workloads.events.generate import generate_events

EXAMPLE = Path(__file__).parents[2] / "examples" / "access_logs"
EVENT_LINES = b"".join(generate_events(120, seed=1, users=9, malformed=0.2))

NewRun = Callable[..., RunSettings]


class CrashError(Exception):
    """Ends a run in the place of SIGKILL."""


def published(run: RunSettings) -> tuple[bytes, bytes]:
    """Return the result and the rejects."""
    assert run.rejects is not None
    return run.output.read_bytes(), run.rejects.read_bytes()


def whole(run: RunSettings) -> tuple[bytes, bytes, RunReport]:
    """Return what the run publishes and reports without a checkpoint."""
    report = MonolithEngine().run(replace(run, checkpoint=None))
    files = published(run)
    for path in (run.output, run.rejects):
        assert path is not None
        path.unlink()
    return *files, report


def crash(engine: Engine, run: RunSettings, batches: int) -> None:
    """Run until so many batches are settled, or to the end if there are fewer.

    The folder of the checkpoint is left as it was in that moment.
    """
    assert run.checkpoint is not None
    folder, image = run.checkpoint, run.checkpoint.with_name("image")
    left = batches

    def on_progress(_: int) -> None:
        nonlocal left
        left -= 1
        if not left:
            shutil.copytree(folder, image)
            raise CrashError

    with suppress(CrashError, FunctionError):
        engine.run(replace(run, on_progress=on_progress))
    if image.exists():
        shutil.rmtree(folder)
        image.rename(folder)
    assert left > 0 or not run.output.exists()


def resume(engine: Engine, run: RunSettings) -> tuple[int, RunReport]:
    """Run to the end; return after how many records it resumed, and the report."""
    resumed: list[int] = []
    report = engine.run(replace(run, on_resume=resumed.append))
    return sum(resumed), report
