"""`pipeline run --checkpoint`: a run that is killed resumes with the same command."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from pipeline.workloads.events.generate import generate_events
from tests.cli.commands import COMMAND, SUCCESS, USAGE, pipeline

# A workload that kills the run in one of the functions of its result, which the process
# of the run calls.
KILLED = """
import os
import signal
from dataclasses import replace

from pipeline import workload_named

EVENTS = workload_named("events")


class Totals(EVENTS.new_result):
    def reached(self, place):
        if self.records > 300 and os.environ.get("KILLED_IN") == place:
            os.kill(os.getpid(), signal.SIGKILL)

    def add(self, totals):
        self.reached("add")
        return super().add(totals)

    def state(self):
        self.reached("state")
        return super().state()

    def finish(self):
        self.reached("finish")
        return super().finish()


WORKLOAD = replace(EVENTS, new_result=Totals)
"""

INPUT = b"".join(generate_events(1000, seed=1, users=9, malformed=0.1))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the workload, an input and an earlier result."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "killed.py").write_text(KILLED)
    (tmp_path / "in").write_bytes(INPUT)
    (tmp_path / "out").write_text("earlier")
    return tmp_path


def run(engine: str, killed_in: str = "") -> subprocess.CompletedProcess[str]:
    """Run the workload, which kills the run in the given function."""
    words = f"""in --workload killed:WORKLOAD --output out --rejects rejects
        --batch-size 20 --engine {engine} --checkpoint progress --checkpoint-every 4"""
    return subprocess.run(
        [*COMMAND, "run", *words.split()],
        env=os.environ | {"KILLED_IN": killed_in},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("engine", "killed_in"),
    [("split", "add"), ("split", "state"), ("monolith", "finish")],
)
def test_the_same_command_resumes_a_run_that_was_killed(
    folder: Path, engine: str, killed_in: str
) -> None:
    """While it adds a batch, stores the progress or publishes."""
    whole = pipeline(
        *("run", "in", "--engine", "monolith"),
        *("--output", "whole", "--rejects", "whole.rejects"),
    )
    assert whole.returncode == SUCCESS

    killed = run(engine, killed_in)
    assert killed.returncode == -signal.SIGKILL
    assert (folder / "out").read_text() == "earlier"
    resumed = run(engine)

    assert resumed.returncode == SUCCESS
    line = r"pipeline: resuming at record ([\d,]+), from checkpoint progress\n"
    told = re.fullmatch(line, resumed.stderr)
    assert told is not None
    # After a multiple of four batches of 20 records.
    record = int(told[1].replace(",", ""))
    assert record > 300
    assert record % 80 == 1
    for published, expected in (("out", "whole"), ("rejects", "whole.rejects")):
        assert (folder / published).read_bytes() == (folder / expected).read_bytes()
    assert list((folder / "progress").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            "in --output out --checkpoint-every 4",
            "--checkpoint-every: needs --checkpoint",
        ),
        (
            "in --output - --checkpoint progress",
            "--output -: can't be resumed with --checkpoint; give a file",
        ),
        (
            "in --output memory://out --checkpoint progress",
            "--output memory://out: can't be resumed with --checkpoint; give a file",
        ),
        (
            "in --output out --checkpoint progress --engine dask",
            "--checkpoint: engine dask takes none",
        ),
        (
            "- --output out --checkpoint progress",
            "--checkpoint: standard input and pipes can be read only once; give a file",
        ),
    ],
)
def test_options_that_cant_go_with_a_checkpoint_are_refused(
    folder: Path, options: str, message: str
) -> None:
    """In one line, and no checkpoint is made."""
    done = pipeline("run", *options.split(), stdin=INPUT)

    assert done.returncode == USAGE
    assert done.stderr.decode() == f"pipeline: {message}\n"
    assert not (folder / "progress").exists()
    assert (folder / "out").read_text() == "earlier"
