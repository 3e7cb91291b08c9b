"""Several inputs of a run: arguments, and patterns that the shell did not expand."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from tests.cli.commands import FAILED, GOOD, SUCCESS, USAGE, pipeline

RESULT = b'{"key":"click","count":3,"sum":30,"avg":10.0}\n'
BAD = "no event\n"

engines = pytest.mark.parametrize("engine", ["split", "monolith"])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with inputs in two others."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b/below"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "a" / "2.ndjson").write_text(BAD + GOOD.removesuffix("\n"))
    (tmp_path / "a" / "10.ndjson").write_text(GOOD)
    (tmp_path / "b" / "more.gz").write_bytes(gzip.compress((GOOD + BAD).encode()))
    (tmp_path / "out").write_text("earlier")
    return tmp_path


@engines
def test_inputs_are_read_in_order_and_patterns_by_name(
    folder: Path, engine: str
) -> None:
    """Records are numbered over all of them."""
    done = pipeline(
        *("run", "b/more.gz", "a/*.ndjson", "--engine", engine),
        *("--output", "out", "--rejects", "rejects"),
    )

    assert (done.returncode, done.stderr) == (SUCCESS, b"")
    assert (folder / "out").read_bytes() == RESULT
    assert [line[:12] for line in (folder / "rejects").read_text().splitlines()] == [
        '{"record":2,',
        '{"record":4,',
    ]


@engines
def test_standard_input_may_be_one_of_them(folder: Path, engine: str) -> None:
    """Wherever it is among them."""
    done = pipeline(
        *("run", "a/10.ndjson", "-", "a/10.ndjson", "--output", "out"),
        *("--engine", engine),
        stdin=GOOD.encode(),
    )

    assert (done.returncode, done.stderr) == (SUCCESS, b"")
    assert (folder / "out").read_bytes() == RESULT


def test_the_name_of_a_file_is_no_pattern(folder: Path) -> None:
    """Though the pattern would match another file."""
    (folder / "a" / "[12].ndjson").write_text(GOOD * 3)

    done = pipeline("run", "a/[12].ndjson", "--output", "out", "--engine", "monolith")

    assert (done.returncode, done.stderr) == (SUCCESS, b"")
    assert (folder / "out").read_bytes() == RESULT


def test_a_pattern_finds_files_in_folders_below(folder: Path) -> None:
    """Folders that match are left out."""
    (folder / "b" / "below" / "x").write_text(GOOD * 2)

    done = pipeline("run", "b/**", "--output", "out", "--engine", "monolith")

    assert (done.returncode, done.stderr) == (SUCCESS, b"")
    assert (folder / "out").read_bytes() == RESULT


@pytest.mark.parametrize(
    ("inputs", "code", "said"),
    [
        (
            ["a/10.ndjson", "a/*.csv"],
            USAGE,
            "IN a/*.csv: no file matches this pattern",
        ),
        (
            ["a/10.ndjson", "missing"],
            FAILED,
            "can't read missing: no such file or directory",
        ),
        (
            ["pipe", "a/10.ndjson", "-"],
            USAGE,
            (
                "IN -: is read as standard input, as is pipe; only one input can be a "
                "pipe, a device, or have a name that is not UTF-8"
            ),
        ),
        (["a/10.ndjson", "out"], USAGE, "--output out: is the same file as IN"),
    ],
)
def test_inputs_that_cannot_be_read_are_named(
    folder: Path, inputs: list[str], code: int, said: str
) -> None:
    """Before anything is started; the earlier output is kept."""
    os.mkfifo(folder / "pipe")

    done = pipeline("run", *inputs, "--output", "out")

    assert (done.returncode, done.stdout) == (code, b"")
    assert done.stderr.decode() == f"pipeline: {said}\n"
    assert (folder / "out").read_text() == "earlier"


def test_a_source_that_takes_one_input_says_so(folder: Path) -> None:
    """It is one of the user's own, with a path as its only option."""
    (folder / "own.py").write_text(
        "from dataclasses import replace\n"
        "from pipeline import LINES, workload_named\n"
        "def describe(path): return LINES.describe(path)\n"
        "OWN = replace(workload_named('events'), "
        "source=replace(LINES, describe=describe))\n"
    )

    done = pipeline(
        "run", "a/10.ndjson", "a/2.ndjson", "--output", "out", "--workload", "own:OWN"
    )

    assert done.returncode == USAGE
    assert done.stderr == b"pipeline: IN: workload own:OWN takes one input only\n"
