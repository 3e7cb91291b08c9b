"""What `pipeline run` does, and says, when servers of its stages are lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.commands import FAILED, GOOD, SUCCESS, USAGE, pipeline

RESULT = '{"key":"click","count":2,"sum":20,"avg":10.0}\n'

# A run with these workloads loses servers of parse.
LOSING = """
import os
import time
from dataclasses import replace
from pathlib import Path

from pipeline import Lines, Output, stage, workload_named
from pipeline.v1.events_pb2 import Events
from pipeline.workloads.events.parse import parse as parse_events

EVENTS = workload_named("events")


def is_first():
    try:
        Path("lost").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def dying(lines: Lines) -> Output[Events]:
    if is_first():
        os._exit(3)
    return parse_events(lines)


def hanging(lines: Lines) -> Output[Events]:
    if is_first():
        time.sleep(600)
    return parse_events(lines)


def deadly(lines: Lines) -> Output[Events]:
    if b"deadly" in lines.text:
        os._exit(3)
    return parse_events(lines)


def of(function):
    parse = stage(function, "parse")
    return replace(EVENTS, transforms=(parse, *EVENTS.transforms[1:]))


DYING, HANGING, DEADLY = of(dying), of(hanging), of(deadly)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with an input and an earlier result."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "losing.py").write_text(LOSING)
    (tmp_path / "in").write_text(GOOD * 2)
    (tmp_path / "out").write_text("earlier")
    return tmp_path


def test_a_run_that_has_replaced_a_server_says_so(folder: Path) -> None:
    """In one line on standard error, beside a result that is whole."""
    done = pipeline("run", "in", "--output", "out", "--workload", "losing:DYING")

    assert done.returncode == SUCCESS
    assert done.stderr.splitlines()[-1] == (
        b"pipeline: warning: stage parse has lost a server once, at batch 0: "
        b"ended with exit code 3; the result is whole"
    )
    assert (folder / "out").read_text() == RESULT


def test_no_retries_fail_the_run_at_the_first_loss(folder: Path) -> None:
    """The last line says how the server ended."""
    done = pipeline(
        *("run", "in", "--output", "out", "--workload", "losing:DYING"),
        *("--retries", "0"),
    )

    assert done.returncode == FAILED
    assert b"stage parse at unix:" in done.stderr.splitlines()[-1]
    assert b"is lost: ended with exit code 3" in done.stderr.splitlines()[-1]
    assert (folder / "out").read_text() == "earlier"


def test_a_server_is_lost_once_the_stage_timeout_is_over(folder: Path) -> None:
    """It is replaced, as one that has died."""
    done = pipeline(
        *("run", "in", "--output", "out", "--workload", "losing:HANGING"),
        *("--stage-timeout", "0.5"),
    )

    assert done.returncode == SUCCESS
    assert b"stage parse has lost a server once" in done.stderr.splitlines()[-1]
    assert (folder / "out").read_text() == RESULT


def test_a_deadly_record_is_rejected_and_named(folder: Path) -> None:
    """In the rejects, in the report, and in one line on standard error."""
    (folder / "in").write_text(GOOD + GOOD.replace('"u"', '"deadly"') + GOOD)

    done = pipeline(
        *("run", "in", "--output", "out", "--workload", "losing:DEADLY"),
        *("--max-poison", "1", "--rejects", "rejects", "--report", "report"),
        *("--batch-size", "3"),
    )

    assert done.returncode == SUCCESS
    line = done.stderr.splitlines()[-1].decode()
    assert line.startswith("pipeline: warning: stage parse has lost a server ")
    assert line.endswith(
        " times, the last time at batch 0: ended with exit code 3; rejected as "
        "crashed_the_stage: record 2"
    )
    assert (folder / "out").read_text() == RESULT
    assert json.loads((folder / "rejects").read_text()) == {
        "record": 2,
        "stage": "parse",
        "reason": "crashed_the_stage",
    }
    report = json.loads((folder / "report").read_text())
    assert report["rejections"] == {"crashed_the_stage": 1}
    assert report["stages"]["parse"]["crashed_at"] == [2]


def test_servers_options_are_refused_where_there_are_no_servers() -> None:
    """Each by its name."""
    for option in ("--retries", "--stage-timeout", "--max-poison"):
        done = pipeline(
            *("run", "in", "--output", "out", "--engine", "monolith", option, "1")
        )

        assert done.returncode == USAGE
        assert done.stderr == (
            f"pipeline: {option}: engine monolith has no servers\n".encode()
        )
