"""What a server process prints beside its handshake."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pipeline.errors import StageError
from pipeline.transport.processes import ServerProcess

HANDSHAKE = """echo '{"address": "unix:x"}'"""
# More than a pipe holds, which is 64 KiB.
MANY = "head -c 300000 /dev/zero | tr '\\0' x"


@contextmanager
def program(tmp_path: Path, script: str) -> Iterator[ServerProcess]:
    """Start a shell script as a server that knows no lifeline."""
    process = ServerProcess(
        "mine", ["sh", "-c", script], tmp_path / "log", lifeline=False
    )
    with ExitStack() as stack:
        stack.callback(lambda: process.reap(time.monotonic()))
        stack.callback(process.stop)
        yield process


def soon() -> float:
    """Return a deadline that no program here needs."""
    return time.monotonic() + 30


@pytest.mark.parametrize(
    "before",
    [
        "echo Listening soon",
        """echo '{"level": "info"}'""",
        """echo '{"address": 7}'""",
        f"{MANY}; echo",
        "printf '\\377\\n'",
    ],
    ids=["text", "other JSON", "no text", "a long line", "not UTF-8"],
)
def test_what_is_printed_before_the_handshake_goes_to_the_log(
    tmp_path: Path, before: str
) -> None:
    """Only the line of JSON with an address is the handshake."""
    with program(tmp_path, f"{before}; {HANDSHAKE}; exec sleep 60") as process:
        process.wait_ready(soon())

        assert process.address == "unix:x"
        assert (tmp_path / "log").stat().st_size >= 2


def test_a_program_that_prints_on_and_on_is_never_blocked(tmp_path: Path) -> None:
    """It ends by itself, and all that it printed is in the log."""
    script = f"{HANDSHAKE}; {MANY}; echo; echo the end"
    with program(tmp_path, script) as process:
        process.wait_ready(soon())
        process.wait_ended(30)

        assert process.ending == "ended with exit code 0"
    assert (tmp_path / "log").read_text() == f"{'x' * 300_000}\nthe end\n"


def test_the_reading_thread_ends_with_the_process(tmp_path: Path) -> None:
    """Also if a process that left the group still holds the pipe."""
    script = f"{HANDSHAKE}; setsid sh -c 'echo $$; exec sleep 60' & wait"
    with program(tmp_path, script) as process:
        process.wait_ready(soon())
        (thread,) = process.threads
        assert thread.is_alive()
        log = tmp_path / "log"
        deadline = soon()
        while not log.read_bytes().endswith(b"\n"):
            assert time.monotonic() < deadline

    assert not thread.is_alive()
    os.kill(int(log.read_text()), signal.SIGKILL)


def test_a_program_that_prints_something_else_and_ends_is_quoted(
    tmp_path: Path,
) -> None:
    """With the first line that it printed, and how it ended."""
    with program(tmp_path, "echo hi; echo ho; exit 3") as process:
        with pytest.raises(StageError) as caught:
            process.wait_ready(soon())

        assert str(caught.value) == (
            r"stage mine did not start: it printed b'hi\n', not one line of JSON with "
            r"its address; ended with exit code 3; it last said: ho"
        )


def test_a_program_that_prints_no_handshake_in_time_is_quoted(tmp_path: Path) -> None:
    """Whether or not it has ended its line."""
    with (
        program(tmp_path, "printf 'Ready on 7'; exec sleep 60") as process,
        pytest.raises(StageError, match="listens, but printed b'Ready on 7'"),
    ):
        process.wait_ready(time.monotonic() + 0.5)


def test_a_handshake_without_a_line_end_counts_at_the_end_of_output(
    tmp_path: Path,
) -> None:
    """A program may close its standard output after it."""
    script = """printf '{"address": "unix:x"}'; exec sleep 60 >&-"""
    with program(tmp_path, script) as process:
        process.wait_ready(soon())

        assert process.address == "unix:x"
