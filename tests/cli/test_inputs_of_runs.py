"""Inputs of a run that are no plain file of good records."""

from __future__ import annotations

import gzip
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import COMMAND, FAILED, GOOD, SUCCESS, USAGE, pipeline

RESULT = b'{"key":"click","count":2,"sum":20,"avg":10.0}\n'
ODD = os.fsdecode(b"caf\xe9")

# Another process changes its input when the first batch has come.
CHANGING = """
import os
from dataclasses import replace
from pipeline import workload_named

EVENTS = workload_named("events")


def read(spec, limits, max_records, inputs):
    for output in EVENTS.source.read(spec, limits, max_records, inputs):
        os.truncate(spec.path, 100)
        yield output


CHANGING = replace(EVENTS, source=replace(EVENTS.source, read=read))
"""

engines = pytest.mark.parametrize("engine", ["split", "monolith"])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which has a name that is not UTF-8, with an input."""
    folder = tmp_path / ODD
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / ODD).write_text(GOOD * 2)
    (folder / "out").write_text("earlier")
    return folder


def run(
    input_: str, engine: str, *options: str, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run the events workload."""
    return pipeline(
        *("run", input_, "--output", "out", "--engine", engine, *options), stdin=stdin
    )


@engines
def test_a_name_that_is_not_utf8_is_read(folder: Path, engine: str) -> None:
    """So is a folder of such a name, and an output in it is written."""
    done = run(ODD, engine)

    assert (done.returncode, done.stderr) == (SUCCESS, b"")
    assert (folder / "out").read_bytes() == RESULT


def test_a_result_of_such_a_name_is_written_or_refused(folder: Path) -> None:
    """The monolith writes it. The split can't name it to its sink, and says so."""
    done = pipeline("run", ODD, "--output", f"{ODD}.out", "--engine", "monolith")
    assert (done.returncode, done.stderr) == (SUCCESS, b"")
    assert done.stdout.splitlines()[0].endswith(rb"caf\xe9.out")
    assert (folder / f"{ODD}.out").read_bytes() == RESULT

    done = pipeline("run", ODD, "--output", f"{ODD}.out")
    assert done.returncode == USAGE
    assert b"its name is not UTF-8" in done.stderr
    assert done.stderr.count(b"\n") == 1


@engines
def test_a_substituted_process_is_read(folder: Path, engine: str) -> None:
    """A shell names its pipe by a descriptor that only the run itself has."""
    script = '"$@" <(gzip -c < "$SOURCE")'
    done = subprocess.run(
        [
            *("bash", "-c", script, "bash", *COMMAND),
            *("run", "--output", "out", "--engine", engine),
        ],
        env={**os.environ, "SOURCE": ODD},
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (SUCCESS, b"")
    assert (folder / "out").read_bytes() == RESULT


def test_a_run_that_waits_for_a_pipe_can_be_killed(folder: Path) -> None:
    """No server is left, since none was started, or it ends by itself."""
    os.mkfifo(folder / "pipe")
    with subprocess.Popen(
        [*COMMAND, "run", "pipe", "--output", "out"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        # A server would hold the other end of this pipe.
        assert process.stdout is not None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.kill()
        assert select.select([process.stdout], [], [], 30)[0]
        assert process.stdout.read() == b""
    assert process.returncode == -signal.SIGKILL
    assert (folder / "out").read_text() == "earlier"


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_server_that_waits_for_a_pipe_ends_with_its_run(folder: Path) -> None:
    """As where a program gives the engine a named pipe."""
    os.mkfifo(folder.parent / "pipe")
    script = f"""
from pathlib import Path
from pipeline.engines.base import RunSettings
from pipeline.engines.split import SplitEngine
from pipeline import LINES, workload_named

path = {str(folder.parent / "pipe")!r}
SplitEngine().run(
    RunSettings(
        workload=workload_named("events"),
        source=LINES.describe(path),
        input=path,
        output=Path("out"),
    )
)
"""
    with subprocess.Popen([sys.executable, "-c", script]) as process:
        while not list(folder.glob(".out.*.partial")):
            assert process.poll() is None
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        stages = [os.pidfd_open(int(pid)) for pid in children.split()]
        process.kill()
    for stage in stages:
        assert select.select([stage], [], [], 30)[0]
        os.close(stage)
    assert len(stages) == 5


@engines
def test_compressed_and_marked_input_is_read(folder: Path, engine: str) -> None:
    """From standard input, too, and with the same result."""
    data = gzip.compress(b"\xef\xbb\xbf" + GOOD.encode() * 2)

    assert run("-", engine, stdin=data).returncode == SUCCESS
    assert (folder / "out").read_bytes() == RESULT

    (folder / "cut").write_bytes(data[:-9])
    done = run("cut", "monolith")
    assert done.returncode == FAILED
    assert b"its gzip data ends early" in done.stderr
    assert (folder / "out").read_bytes() == RESULT


@engines
def test_an_input_that_changes_fails_the_run(folder: Path, engine: str) -> None:
    """In one line, and the earlier output is kept."""
    (folder / "changing.py").write_text(CHANGING)
    source = folder.parent / "in"
    # More than one block.
    source.write_text(GOOD * 10_000)
    done = run(str(source), engine, "--workload", "changing:CHANGING")

    assert (done.returncode, done.stdout) == (FAILED, b"")
    assert done.stderr.count(b"\n") == 1
    assert b"in was truncated while it was read" in done.stderr
    assert (folder / "out").read_text() == "earlier"


@engines
def test_a_run_that_rejects_everything_is_warned_of(folder: Path, engine: str) -> None:
    """The warning says what the input looks like."""
    (folder / "x.csv").write_text("a,b\n1,2\n")
    done = run("x.csv", engine)

    assert done.returncode == SUCCESS
    assert done.stderr == (
        b"pipeline: warning: all 2 records were rejected, most as malformed_json; IN "
        b"looks like CSV\n"
    )


@engines
@pytest.mark.parametrize("limit", ["1", "50%"])
def test_too_many_rejects_fail_the_run(folder: Path, engine: str, limit: str) -> None:
    """The earlier output is kept; as many as allowed are fine."""
    options = ("--max-rejects", limit, "--rejects", "rejects")
    done = run("-", engine, *options, stdin=b"x\ny\n" + GOOD.encode())
    assert (done.returncode, done.stdout) == (FAILED, b"")
    assert done.stderr.endswith(
        f"more than --max-rejects {limit}; nothing was published\n".encode()
    )
    assert (folder / "out").read_text() == "earlier"
    assert not (folder / "rejects").exists()

    done = run("-", engine, *options, stdin=b"x\n" + GOOD.encode())
    assert (done.returncode, done.stderr) == (SUCCESS, b"")
