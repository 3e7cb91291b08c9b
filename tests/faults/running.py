"""Run `pipeline run` with the faults of a plan, and gather how it has ended."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

from pipeline.batching import BatchLimits
from pipeline.engines.base import RunSettings
from pipeline.engines.monolith import MonolithEngine
from pipeline.publishing import Draft
from pipeline.rejects import settle_left
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.generate import generate_events
from tests.faults.injection import Injection
from tests.faults.plan import BATCH_SIZE, EVENTS_IN_RUN, Fault, Plan
from tests.faults.reporting import SOCKET

#: What the output and the rejects hold before a run.
EARLIER = b"earlier\n"

# The longest way is a server that is paused for ever while it starts (30 s), and others
# that are replaced or stopped (5 s) before and after.
_MOST_S = 90.0
# How long servers have to notice that the orchestrator has been killed.
_GONE_S = 10.0
_ROOT = Path(__file__).parent.parent.parent
_OPTIONS = (
    *("--workload", "tests.faults.reporting:WORKLOAD"),
    *("--batch-size", str(BATCH_SIZE), "--stage-timeout", "2", "--retries", "3"),
)

T = TypeVar("T")


@dataclass(frozen=True)
class Data:
    """What every run reads, and what it has to come to."""

    source: bytes
    output: bytes
    rejects: bytes


@dataclass(frozen=True)
class End:
    """How a run has ended, and what it has left."""

    #: As of `subprocess`; None if it was still running at the time limit.
    exit_code: int | None
    stdout: str
    stderr: str
    output: bytes
    rejects: bytes
    #: The faults that have happened.
    happened: Sequence[Fault]
    #: Processes of the run that go on.
    processes: Sequence[str]
    #: Names of files beside the output and in the folder for temporary files.
    files: Sequence[str]
    #: Those that are still there once another run has begun. Output and rejects are
    #: of that time, too.
    files_later: Sequence[str]


def make_data() -> Data:
    """Make events of which some are rejected, and compute their result."""
    source = b"".join(generate_events(EVENTS_IN_RUN, malformed=0.03))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "in"
        path.write_bytes(source)
        settings = RunSettings(
            workload=EVENTS,
            source=EVENTS.source.describe(str(path)),
            input=str(path),
            output=folder / "out",
            rejects=folder / "rejects",
            limits=BatchLimits(records=BATCH_SIZE),
        )
        MonolithEngine().run(settings)
        output, rejects = (folder / "out", folder / "rejects")
        return Data(source, output.read_bytes(), rejects.read_bytes())


def run(plan: Plan, data: Data) -> End:
    """Run in a new session, in new folders; end the processes that are left."""
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name)
        for subfolder in ("files", "temporary"):
            (folder / subfolder).mkdir()
        files = folder / "files"
        (files / "in").write_bytes(data.source)
        for earlier in ("out", "rejects"):
            (files / earlier).write_bytes(EARLIER)
        with Injection(plan, folder / "socket", files / "in") as injection:
            process = _start(plan, folder)
            try:
                exit_code, stdout, stderr = _ended(process)
                processes = _soon(lambda: _session(process.pid))
                left = _soon(lambda: _left(folder))
            finally:
                _end_session(process)
        _begin_another_run(files)
        return End(
            exit_code,
            stdout,
            stderr,
            output=_content(files / "out"),
            rejects=_content(files / "rejects"),
            happened=tuple(injection.happened),
            processes=processes,
            files=left,
            files_later=_left(folder),
        )


def _start(plan: Plan, folder: Path) -> subprocess.Popen[str]:
    replicas = ",".join(f"{stage.name}={plan.replicas}" for stage in EVENTS.transforms)
    files = folder / "files"
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "pipeline", "run", str(files / "in"), *_OPTIONS),
            *("--output", str(files / "out"), "--rejects", str(files / "rejects")),
            *("--replicas", replicas),
        ],
        env={
            **os.environ,
            "PYTHONPATH": str(_ROOT),
            "TMPDIR": str(folder / "temporary"),
            SOCKET: str(folder / "socket"),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _ended(process: subprocess.Popen[str]) -> tuple[int | None, str, str]:
    """Return exit code, standard output and error; None, if the run does not end."""
    try:
        stdout, stderr = process.communicate(timeout=_MOST_S)
    except subprocess.TimeoutExpired:
        return None, "", ""
    return process.returncode, stdout, stderr


def _soon(found: Callable[[], list[T]]) -> list[T]:
    """Return what is found, once that is nothing or the time is up."""
    deadline = time.monotonic() + _GONE_S
    while there := found():
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return there


def _session(leader: int) -> list[str]:
    return [f"{each.pid} {each.status()}" for each in _members(leader)]


def _members(leader: int) -> list[psutil.Process]:
    """Return the processes of a session that have not ended."""
    members = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) != leader:
                continue
            if process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return members


def _begin_another_run(files: Path) -> None:
    """Do what a run with the same output does first."""
    settle_left(files / "out")
    for name in ("out", "rejects"):
        Draft(files / name).discard()


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b"no file"


def _left(folder: Path) -> list[str]:
    files = {path.name for path in (folder / "files").iterdir()}
    temporary = [path.name for path in (folder / "temporary").iterdir()]
    return sorted(files - {"in", "out", "rejects"}) + sorted(temporary)


def _end_session(process: subprocess.Popen[str]) -> None:
    for member in _members(process.pid):
        member.kill()
    process.communicate()
