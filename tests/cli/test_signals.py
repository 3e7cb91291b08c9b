"""A signal ends a command with one line and its exit code, whenever it comes."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import COMMAND, FAILED, GOOD, SUCCESS

pytestmark = pytest.mark.usefixtures("interruptible")

# A workload that signals the run when it reaches a phase, from the run itself or from a
# server of it, and that notes the process of each server.
SIGNALLING = """
import atexit
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from pipeline import Lines, Output, stage, workload_named
from pipeline.v1.events_pb2 import Events
from pipeline.workloads.events.parse import parse as quiet

EVENTS = workload_named("events")
PHASES = os.environ["PHASES"].split(",")
IS_SERVER = "serve" in sys.argv
RUN = os.getppid() if IS_SERVER else os.getpid()


def reached(phase):
    if phase in PHASES:
        os.kill(RUN, getattr(signal, os.environ["SIGNAL"]))


if IS_SERVER:
    (Path("servers") / str(os.getpid())).touch()
    reached("start of a server")
    # Servers end while the run cleans up.
    atexit.register(reached, "cleaning up")
else:
    reached("import")


def parse(lines: Lines) -> Output[Events]:
    reached("run")
    if "failure" in PHASES:
        raise ValueError("cause")
    return quiet(lines)


class Totals(EVENTS.new_result):
    def finish(self):
        reached("publish")
        reached("publish")
        return super().finish()


WORKLOAD = replace(
    EVENTS, transforms=(stage(parse), *EVENTS.transforms[1:]), new_result=Totals
)
"""


@pytest.fixture(autouse=True)
def folder(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The current folder, with the workload, an input and an earlier result."""
    folder = tmp_path_factory.mktemp("f")
    monkeypatch.chdir(folder)
    for name in ("servers", "temporary"):
        (folder / name).mkdir()
    (folder / "signalling.py").write_text(SIGNALLING)
    (folder / "in").write_text(GOOD * 20)
    (folder / "out").write_text("earlier")
    return folder


def run(
    folder: Path, phases: str, number: signal.Signals, engine: str = "split"
) -> subprocess.CompletedProcess[str]:
    """Run the workload that signals its run by ``number`` in each of ``phases``."""
    options = ("--workload", "signalling:WORKLOAD", "--batch-size", "5")
    files = ("in", "--output", "out", "--rejects", "rejects")
    return subprocess.run(
        [*COMMAND, "run", *files, *options, "--engine", engine],
        env=os.environ
        | {"PHASES": phases, "SIGNAL": number.name}
        | {"TMPDIR": str(folder / "temporary")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def left_behind(folder: Path) -> list[str]:
    """Return the drafts, temporary files and running servers that are still there."""
    servers = [
        server.name
        for server in (folder / "servers").iterdir()
        if Path("/proc", server.name).exists()
    ]
    temporary = [path.name for path in (folder / "temporary").iterdir()]
    return servers + temporary + [path.name for path in folder.glob(".*")]


def ended_by(number: signal.Signals) -> str:
    """Return the line that a command prints at its end."""
    how = "interrupted" if number is signal.SIGINT else f"ended by {number.name}"
    return f"pipeline: {how}\n"


@pytest.mark.parametrize(
    ("phases", "number", "engine"),
    [
        ("import", signal.SIGINT, "monolith"),
        ("import", signal.SIGTERM, "monolith"),
        ("run", signal.SIGHUP, "monolith"),
        ("start of a server", signal.SIGINT, "split"),
        ("start of a server", signal.SIGTERM, "split"),
        ("run", signal.SIGINT, "split"),
        ("run", signal.SIGHUP, "split"),
        ("run,cleaning up", signal.SIGTERM, "split"),
    ],
)
def test_a_signal_ends_a_run_in_any_phase(
    folder: Path, phases: str, engine: str, number: signal.Signals
) -> None:
    """One line, 128 + number, the earlier result, and nothing left behind."""
    done = run(folder, phases, number, engine)

    assert (done.returncode, done.stdout) == (128 + number, "")
    assert done.stderr == ended_by(number)
    assert (folder / "out").read_text() == "earlier"
    assert not (folder / "rejects").exists()
    assert left_behind(folder) == []


def test_a_signal_that_is_ignored_from_the_start_ends_nothing(folder: Path) -> None:
    """As of nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        done = run(folder, "import,run", signal.SIGHUP, "monolith")
    finally:
        signal.signal(signal.SIGHUP, before)

    assert (done.returncode, done.stderr) == (SUCCESS, "")


@pytest.mark.parametrize("engine", ["split", "monolith"])
def test_a_signal_does_nothing_once_the_result_is_being_published(
    folder: Path, engine: str
) -> None:
    """Not even twice, and not while the servers are stopped after that."""
    done = run(folder, "publish,cleaning up", signal.SIGTERM, engine)

    assert (done.returncode, done.stderr) == (SUCCESS, "")
    assert (folder / "out").read_text() != "earlier"
    assert left_behind(folder) == []


def test_a_signal_during_the_cleaning_up_of_a_failed_run_leaves_nothing(
    folder: Path,
) -> None:
    """The run ends by the signal, once all servers are gone."""
    done = run(folder, "failure,cleaning up", signal.SIGTERM)

    assert done.returncode == 128 + signal.SIGTERM
    assert done.stderr.splitlines()[-1:] == ["pipeline: ended by SIGTERM"]
    assert left_behind(folder) == []


def test_a_defect_of_the_command_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its place, but without a traceback."""
    (folder / "sitecustomize.py").write_text(
        "import pipeline.workloads as workloads\n"
        "workloads.workload_named = lambda name: {}[7]\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(folder))
    done = run(folder, "", signal.SIGTERM, "monolith")

    (line,) = done.stderr.splitlines()
    assert line.startswith("pipeline: failed: KeyError: 7 (")
    assert "sitecustomize.py:2); please report" in line
    assert done.returncode == FAILED
