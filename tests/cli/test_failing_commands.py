"""Commands that fail or are ended: one line of error, no files or processes left."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.commands import COMMAND, FAILED, GOOD, INTERRUPTED, USAGE, pipeline


@dataclass(frozen=True)
class Stalled:
    """A run that is waiting, and a pidfd of each of its five stage processes."""

    process: subprocess.Popen[bytes]
    stages: list[int]


def failing() -> Iterator[tuple[str, list[str], int, str]]:
    """Yield commands that fail: ID, arguments, exit code, and part of the message."""
    yield "missing file", ["run", "missing"], FAILED, "missing: no such file"
    yield "folder", ["run", "."], FAILED, "is a directory"
    yield "empty file", ["run", "empty"], FAILED, "the source holds no records"
    yield "empty stdin", ["run", "-"], FAILED, "the source holds no records"
    yield (
        "missing folder for the output",
        ["run", "in", "--output", "no/such/out"],
        FAILED,
        "out: no such file",
    )
    yield (
        "folder as the output",
        ["run", "in", "--output", "folder"],
        FAILED,
        "folder: it is a folder",
    )
    yield (
        "missing folder for the rejects",
        ["run", "in", "--rejects", "no/such/rejects"],
        FAILED,
        "can't write no/such/rejects",
    )
    yield (
        "missing folder for the report",
        ["run", "in", "--report", "no/such/report"],
        FAILED,
        "can't write no/such/report",
    )
    yield (
        "nobody listens",
        ["run", "in", "--stage", "parse=unix:nobody"],
        FAILED,
        "stage parse: nobody answers at unix:nobody",
    )
    yield (
        "unknown stage",
        ["run", "in", "--stage", "pares=unix:x"],
        USAGE,
        "stage 'pares'",
    )
    yield "no address", ["run", "in", "--stage", "parse"], USAGE, "must be NAME=ADDRESS"
    yield "batch size 0", ["run", "in", "--batch-size", "0"], USAGE, "batch size 0"
    yield "batch size x", ["run", "in", "--batch-size", "x"], USAGE, "--batch-size"
    yield "negative", ["run", "in", "--max-events", "-1"], USAGE, "max records -1"
    yield "line limit", ["run", "in", "--max-line-bytes", "0"], USAGE, "line limit 0"
    yield "one file twice", ["run", "in", "--rejects", "out"], USAGE, "same file as"
    yield "over the input", ["run", "in", "--report", "in"], USAGE, "same file as IN"
    yield (
        "servers of the monolith",
        ["run", "in", "--engine", "monolith", "--stage", "parse=unix:x"],
        USAGE,
        "engine monolith has no servers",
    )
    yield (
        "replicas of the monolith",
        ["run", "in", "--engine", "monolith", "--replicas", "parse=2"],
        USAGE,
        "engine monolith has no servers",
    )
    yield (
        "half of TLS",
        ["serve", "parse", "--tls-key", "in"],
        USAGE,
        "--tls-certificate and --tls-key: give both or neither",
    )
    yield (
        "no root",
        ["run", "in", "--tls-root", "missing"],
        USAGE,
        "can't read missing: no such file",
    )
    yield "no count", ["run", "in", "--replicas", "parse"], USAGE, "must be NAME=N"
    yield "bad count", ["run", "in", "--replicas", "parse=x"], USAGE, "must be NAME=N"
    yield (
        "counted twice",
        ["run", "in", "--replicas", "parse=2,parse=3"],
        USAGE,
        "--replicas parse: given twice",
    )
    yield "none", ["run", "in", "--replicas", "parse=0"], USAGE, "0 replicas asked for"
    yield "of sink", ["run", "in", "--replicas", "sink=2"], USAGE, "stage sink: 2"
    yield "no IN", ["run"], USAGE, "workload events needs IN"
    yield "no use", ["run", "in", "--seed", "7"], USAGE, "--seed: workload events takes"
    yield (
        "unknown workload",
        ["run", "in", "--workload", "evnets"],
        USAGE,
        "workload 'evnets': not known; there is events,",
    )
    yield (
        "no such module",
        ["run", "in", "--workload", "mine:MINE"],
        USAGE,
        "workload 'mine:MINE' can't be imported: ModuleNotFoundError: No module named",
    )
    yield (
        "no such name",
        ["run", "in", "--workload", "json:MINE"],
        USAGE,
        "workload 'json:MINE' can't be imported: AttributeError",
    )
    yield (
        "no workload",
        ["run", "in", "--workload", "json:dumps"],
        USAGE,
        "workload 'json:dumps': is a function, not a Workload",
    )
    yield "no such option", ["run", "in", "--speed", "9"], USAGE, "--speed"
    yield "no such command", ["rnu"], USAGE, "rnu"
    yield "stage to serve", ["serve", "pares"], USAGE, "stage 'pares'"
    yield "workload", ["serve", "parse", "--workload", "x"], USAGE, "workload 'x'"
    yield "address", ["serve", "parse", "--bind", "x"], USAGE, "HOST:PORT or unix:PATH"
    yield "users", ["generate", "out", "--users", "0"], USAGE, "users 0"
    yield "events", ["demo", "--events", "0"], USAGE, "--events 0"
    yield "items", ["demo", "--items", "0"], USAGE, "--items 0"
    yield "ratio", ["generate", "out", "--work-ratio", "1"], USAGE, "--work-ratio"
    yield (
        "option of another workload",
        ["run", "in", "--seed", "1"],
        USAGE,
        "--seed",
    )
    yield (
        "no number of records",
        ["run", "--workload", "work-items"],
        USAGE,
        "--records",
    )


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [pytest.param(*rest, id=name) for name, *rest in failing()],
)
def test_a_failure_is_one_line_and_an_exit_code(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    exit_code: int,
    message: str,
) -> None:
    """Standard output is empty, and existing files are unchanged."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    files = {"in": GOOD, "empty": "", "out": "earlier"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    if arguments[0] == "run" and "--output" not in arguments:
        arguments = [*arguments, "--output", "out"]

    done = pipeline(*arguments)

    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("pipeline: ")
    assert message in line
    assert (done.returncode, done.stdout) == (exit_code, b"")
    assert {name: (tmp_path / name).read_text() for name in files} == files
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*files, "folder"]
    )


@pytest.fixture
def stalled(tmp_path: Path) -> Iterator[Stalled]:
    """A run that is waiting for standard input."""
    (tmp_path / "out").write_text("earlier")
    with subprocess.Popen(
        [*COMMAND, "run", "-", "--output", str(tmp_path / "out"), "--batch-size", "1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(GOOD.encode())
        process.stdin.flush()
        # The sink makes its draft when the run has begun.
        while not list(tmp_path.glob(".out.*.partial")):
            assert process.poll() is None
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        stages = [os.pidfd_open(int(pid)) for pid in children.split()]
        assert len(stages) == 5
        try:
            yield Stalled(process, stages)
        finally:
            process.kill()
            for stage in stages:
                os.close(stage)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("number", "exit_code", "message"),
    [
        (signal.SIGINT, INTERRUPTED, b"pipeline: interrupted\n"),
        (signal.SIGKILL, -signal.SIGKILL, b""),
        (signal.SIGTERM, 143, b"pipeline: ended by SIGTERM\n"),
    ],
)
def test_servers_exit_when_their_run_is_interrupted_terminated_or_killed(
    stalled: Stalled, tmp_path: Path, number: int, exit_code: int, message: bytes
) -> None:
    """The output file is unchanged and no draft is left."""
    # A terminal sends Ctrl-C to the whole group.
    os.killpg(stalled.process.pid, number)
    _, errors = stalled.process.communicate(timeout=30)

    assert (stalled.process.returncode, errors) == (exit_code, message)
    for stage in stalled.stages:
        assert select.select([stage], [], [], 30)[0]
    assert (tmp_path / "out").read_text() == "earlier"
    assert not list(tmp_path.glob(".out.*.partial"))
