"""What is published is a success, whatever state the output streams are in."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import COMMAND, FAILED, GOOD, INTERRUPTED, SUCCESS, pipeline

RUN = ("run", "in", "--output", "out", "--engine", "monolith")
RESULT = b'{"key":"click","count":2,"sum":20,"avg":10.0}\n'

# Its result interrupts the run from inside of add or of finish.
INTERRUPTING = """
import os
import signal
import sys
from dataclasses import replace

from pipeline import Lines, Output, stage, workload_named
from pipeline.v1.events_pb2 import Events
from pipeline.workloads.events.parse import parse as quiet

EVENTS = workload_named("events")


def interrupt():
    # The server of a stage is a child of the run; the monolith is the run.
    run = os.getppid() if "serve" in sys.argv else os.getpid()
    os.kill(run, signal.SIGINT)


# Of a transform stage, since the run goes on only with its reply. It does not wait
# for the sink to add what it was sent.
def parse(lines: Lines) -> Output[Events]:
    interrupt()
    return quiet(lines)


class Late(EVENTS.new_result):
    def finish(self):
        interrupt()
        interrupt()
        return super().finish()


EARLY = replace(EVENTS, transforms=(stage(parse), *EVENTS.transforms[1:]))
LATE = replace(EVENTS, new_result=Late)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with an input and an earlier result."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").write_text(GOOD * 2)
    (tmp_path / "out").write_text("earlier")
    return tmp_path


def in_shell(
    redirection: str, *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run the command line with a redirection of a shell; standard error is kept."""
    return subprocess.run(
        [
            *(
                "sh",
                "-c",
                f'{{ "$@"; echo $? > code; }} {redirection}; exit $(cat code)',
            ),
            *("sh", *COMMAND, *arguments),
        ],
        capture_output=True,
        env={**os.environ, **(environment or {})},
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1:strict"])
def test_a_summary_is_shown_in_any_encoding(folder: Path, encoding: str) -> None:
    """An arrow becomes one of ASCII where the encoding has none."""
    done = in_shell("", *RUN, environment={"PYTHONIOENCODING": encoding})

    assert (done.returncode, done.stderr) == (SUCCESS, b"")
    assert done.stdout.splitlines()[0].endswith(b"0 rejected -> out")
    assert (folder / "out").read_bytes() == RESULT


@pytest.mark.parametrize(
    ("redirection", "message"),
    [
        (
            ">/dev/full",
            (
                b"pipeline: out is published, but its summary is not printed: can't "
                b"write standard output: no space left on device\n"
            ),
        ),
        (">&-", b""),
        (">&- 2>&-", b""),
        ("2>/dev/full >/dev/full", b""),
        ("| true", b""),
    ],
)
def test_a_summary_that_can_not_be_printed_fails_nothing(
    folder: Path, redirection: str, message: bytes
) -> None:
    """The result and the report are published, and the exit code is 0."""
    done = in_shell(redirection, *RUN, "--report", "report")

    assert done.stderr == message
    assert done.returncode == SUCCESS
    assert (folder / "out").read_bytes() == RESULT
    assert (folder / "report").exists()


def test_a_dash_as_the_output_is_standard_output(folder: Path) -> None:
    """The result is all there is; the summary is on standard error."""
    for engine in ("split", "monolith"):
        done = pipeline("run", "in", "--output", "-", "--engine", engine)

        assert (done.returncode, done.stdout) == (SUCCESS, RESULT)
        assert "2 records: 2 passed" in done.stderr.decode()
    assert sorted(path.name for path in folder.iterdir()) == ["in", "out"]


@pytest.mark.parametrize(
    ("redirection", "why"),
    [(">/dev/full", b"no space left on device"), (">&-", b"it is closed")],
)
@pytest.mark.parametrize(
    "arguments",
    [("run", "in", "--output", "-", "--engine", "monolith"), ("generate", "-")],
)
def test_a_result_that_can_not_be_printed_is_a_failure(
    arguments: tuple[str, ...], redirection: str, why: bytes
) -> None:
    """It is one line and the exit code of a failure."""
    done = in_shell(redirection, *arguments)

    assert done.returncode == FAILED
    assert done.stderr == b"pipeline: can't write standard output: " + why + b"\n"


def test_generated_records_go_to_standard_output_or_to_a_file(folder: Path) -> None:
    """They are the same, and a reader that has enough is no failure."""
    pipeline("generate", "made", "--records", "2000")
    printed = pipeline("generate", "-", "--records", "2000")
    assert (printed.returncode, printed.stderr) == (SUCCESS, b"")
    assert printed.stdout == (folder / "made").read_bytes()

    with subprocess.Popen(
        [*COMMAND, "generate", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == SUCCESS


def test_help_that_can_not_be_printed_is_one_line_of_error() -> None:
    """A full disk is a failure where there is nothing but what is printed."""
    done = in_shell(">/dev/full", "--help")

    assert (done.returncode, done.stderr.count(b"\n")) == (FAILED, 1)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("engine", ["split", "monolith"])
def test_the_exit_code_of_an_interrupted_run_agrees_with_its_result(
    folder: Path, engine: str
) -> None:
    """Ctrl-C counts until the result is being published, and not from then on."""
    (folder / "interrupting.py").write_text(INTERRUPTING)
    command = ("run", "in", "--output", "out", "--report", "report")
    early, late = (
        (*command, "--engine", engine, "--workload", f"interrupting:{name}")
        for name in ("EARLY", "LATE")
    )

    interrupted = pipeline(*early)
    assert (interrupted.returncode, interrupted.stdout) == (INTERRUPTED, b"")
    assert interrupted.stderr == b"pipeline: interrupted\n"
    assert (folder / "out").read_text() == "earlier"
    assert not (folder / "report").exists()

    done = pipeline(*late)
    assert (done.returncode, done.stderr) == (SUCCESS, b"")
    assert (folder / "out").read_bytes() == RESULT
    assert (folder / "report").exists()
