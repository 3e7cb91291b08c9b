"""Standard output belongs to the user: what a workload or a servicer prints there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import COMMAND, GOOD, SUCCESS, pipeline

# It prints when it is imported, and more than a pipe holds in each of its functions.
LOUD = """
import os
import subprocess
import sys
from dataclasses import replace

from pipeline import LINES, Output, Workload, stage, workload_named
from pipeline.workloads.events.parse import parse as quiet

print("imported", "-" * 70_000)
print("not flushed \\N{RIGHTWARDS ARROW}", end="")

EVENTS = workload_named("events")


def by_print(lines):
    print("printed", "-" * 70_000)


def by_descriptor(lines):
    os.write(1, b"x" * 70_000 + b"\\n")


def by_system(lines):
    os.system("head -c 70000 /dev/zero | tr '\\\\0' x; echo")


def by_child(lines):
    subprocess.run([sys.executable, "-Sc", "print('x' * 70_000)"], check=True)


WAYS = (by_print, by_descriptor, by_system, by_child)


def parse(lines: EVENTS.transforms[0].takes) -> Output[EVENTS.transforms[0].returns]:
    WAYS[lines.first_record - 1](lines)
    return quiet(lines)


LOUD = replace(EVENTS, transforms=(stage(parse), *EVENTS.transforms[1:]))
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a loud workload and its input."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loud.py").write_text(LOUD)
    (tmp_path / "in").write_text(GOOD * 4)
    return tmp_path


def test_a_workload_may_print_as_much_as_it_likes(folder: Path) -> None:
    """By whatever way it reaches descriptor 1; the run starts and ends."""
    done = pipeline(
        *("run", "in", "--workload", "loud:LOUD", "--batch-size", "1"),
        *("--output", "out"),
    )

    assert (done.returncode, done.stderr) == (SUCCESS, b"")
    assert b'"count":4' in (folder / "out").read_bytes()


def test_a_served_workload_prints_to_standard_error(folder: Path) -> None:
    """Standard output has the handshake alone, and ends after it."""
    log = folder / "log"
    with (
        log.open("wb") as stderr,
        subprocess.Popen(
            [*COMMAND, "serve", "parse", "--workload", "loud:LOUD"],
            stdout=subprocess.PIPE,
            stderr=stderr,
        ) as process,
    ):
        assert process.stdout is not None
        printed = process.stdout.read()  # to its end, while the server runs
        assert process.poll() is None
        process.terminate()

    assert printed.startswith(b'{"stage": "parse"')
    assert printed.count(b"\n") == 1
    assert "imported ---" in log.read_text()
    assert "not flushed" in log.read_text()
    assert process.returncode == SUCCESS
