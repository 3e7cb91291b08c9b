"""Reading the files that pytest-benchmark saves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ReportError
from pytest_pipeline.report.benchmark_json import read_saved
from tests.report.sessions import save, saved, session


def test_a_saved_session_is_read_back(tmp_path: Path) -> None:
    """In order, and without benchmarks that are not of the pipeline."""
    made = session()

    assert read_saved(save(made, tmp_path / "saved.json")) == made


@pytest.mark.parametrize(
    ("info", "commit"),
    [
        ({"id": "0123456789abcdef", "dirty": False, "branch": "main"}, "01234567"),
        ({"id": "0123456789abcdef", "dirty": True}, "01234567 with changes"),
        ({"id": "unversioned", "dirty": False}, ""),
        ({"id": "unknown", "dirty": True, "error": "no git"}, ""),
        ({}, ""),
    ],
)
def test_a_commit_is_shortened(
    tmp_path: Path, info: dict[str, object], commit: str
) -> None:
    """Without a commit, pytest-benchmark saves a word instead."""
    path = tmp_path / "saved.json"
    path.write_text(json.dumps(saved(session()) | {"commit_info": info}))

    assert read_saved(path).commit == commit


def test_a_missing_file_is_reported_in_one_line(tmp_path: Path) -> None:
    """The message names the path."""
    path = tmp_path / "none.json"

    with pytest.raises(ReportError, match="no such file") as refused:
        read_saved(path)

    assert str(path) in str(refused.value)


def without(*path: str) -> dict[str, Any]:
    """Return a saved session that lacks a key."""
    made = saved(session())
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return made


def with_measured(**changes: object) -> dict[str, Any]:
    """Return a saved session with changes in its second benchmark."""
    made = saved(session())
    made["benchmarks"][1]["extra_info"]["pipeline"].update(changes)
    return made


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("\x80", "is not JSON"),
        ([], "is not a file of pytest-benchmark"),
        ({"benchmarks": []}, "is not a file of pytest-benchmark"),
        ({"machine_info": {}, "benchmarks": []}, "none of its 0 benchmarks is of the"),
        (
            {"machine_info": {}, "benchmarks": [{"name": "test_of_others"}]},
            "none of its 1 benchmarks is of the pipeline; save those of",
        ),
        (without("machine_info", "pipeline"), "what machine it was measured on"),
        (without("machine_info", "pipeline", "cores"), "machine_info is of another"),
        (with_measured(group="other"), "test_split[events-1] is of another version"),
        (with_measured(throughput_per_s=["fast"]), "is of another version"),
        (with_measured(throughput_per_s=[0.0]), "a throughput of 0.0 records/s can't"),
        (with_measured(throughput_per_s=[float("nan")]), "a throughput of nan records"),
    ],
    ids=[
        "empty",
        "deep",
        "not-utf8",
        "a-list",
        "no-machine-info",
        "no-benchmarks",
        "none-of-ours",
        "no-machine",
        "no-cores",
        "unknown-group",
        "words-for-numbers",
        "no-throughput",
        "no-number",
    ],
)
def test_an_unsuitable_file_is_refused_in_one_line(
    tmp_path: Path, content: object, says: str
) -> None:
    """The message names the path and the problem."""
    path = tmp_path / "saved.json"
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_bytes(text.encode("latin-1"))

    with pytest.raises(ReportError) as refused:
        read_saved(path)

    assert says in str(refused.value)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)
