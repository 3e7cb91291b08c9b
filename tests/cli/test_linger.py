"""The option --linger of `pipeline run`."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.stages import Output, Stage
from pipeline.transport.folders import ServedFolders
from pipeline.transport.server import StageServer
from pipeline.v1.events_pb2 import Events
from pipeline.v1.lines_pb2 import Lines
from pipeline.workloads.events import EVENTS

COMMAND = (sys.executable, "-m", "pipeline", "run")
GOOD = b'{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":10}\n'


@pytest.mark.parametrize(
    "options",
    [(), ("--batch-size", "1000", "--linger", "0.001")],
    ids=["auto", "linger"],
)
def test_lines_are_parsed_while_standard_input_is_open(
    tmp_path: Path, options: Sequence[str]
) -> None:
    """By default or with a short linger, a line that comes alone is a batch."""
    seen: queue.Queue[bytes] = queue.Queue()
    parse = EVENTS.transform("parse")

    def look(lines: Lines) -> Output[Events]:
        seen.put(lines.text)
        return parse.function(lines)

    watched = Stage("parse", Lines, Events, look)
    workload = replace(EVENTS, transforms=(watched, *EVENTS.transforms[1:]))
    report = tmp_path / "report"
    server = StageServer(workload, "parse", f"unix:{tmp_path}/s", ServedFolders([]))
    with subprocess.Popen(
        [
            *(*COMMAND, "-", "--output", str(tmp_path / "out"), *options),
            *("--report", str(report), "--stage", f"parse={server.address}"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        try:
            for _ in range(3):
                process.stdin.write(GOOD)
                process.stdin.flush()
                assert seen.get(timeout=60) == GOOD
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    server.stop_now()

    assert (process.returncode, errors) == (0, b"")
    told = json.loads(report.read_text())
    assert (told["batches"], told["records"]["ingested"]) == (3, 3)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("0", "linger 0.0: must be a finite number of seconds above 0"),
        ("-1", "linger -1.0: must be a finite number of seconds above 0"),
        ("inf", "linger inf: must be a finite number of seconds above 0"),
        ("nan", "linger nan: must be a finite number of seconds above 0"),
        ("soon", "Invalid value for '--linger': 'soon' is not a valid float"),
    ],
)
def test_a_linger_that_is_not_a_positive_finite_time_is_a_usage_error(
    tmp_path: Path, value: str, message: str
) -> None:
    """The message says what it must be, and no file is written."""
    done = subprocess.run(
        [*COMMAND, "-", "--output", str(tmp_path / "out"), "--linger", value],
        input=GOOD,
        capture_output=True,
        check=False,
        timeout=60,
    )

    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f"pipeline: {message}")
    assert (done.returncode, done.stdout) == (2, b"")
    assert not list(tmp_path.iterdir())


def test_help_describes_linger() -> None:
    """Its unit is seconds, and it is for standard input."""
    done = subprocess.run(
        [*COMMAND, "--help"], capture_output=True, check=True, timeout=60
    )

    shown = " ".join(done.stdout.decode().split())
    assert "--linger SECONDS Send a batch that is not full" in shown
    assert "Standard input only." in shown
