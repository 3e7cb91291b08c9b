"""Inputs of a run by URL."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.cli.commands import FAILED, GOOD, SUCCESS, USAGE, pipeline

RESULT = b'{"key":"click","count":3,"sum":30,"avg":10.0}\n'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with inputs that a server of it has, too."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.ndjson", "a.ndjson"):
        (tmp_path / name).write_text(GOOD)
    (tmp_path / "packed").write_bytes(gzip.compress(GOOD.encode()))
    return tmp_path


@pytest.mark.parametrize("engine", ["split", "monolith"])
def test_urls_are_read(folder: Path, http: str, engine: str) -> None:
    """With patterns where the store lists its files. Dask is tested with a store."""
    done = pipeline(
        *("run", f"{http}/packed?token=secret", f"{folder.as_uri()}/*.ndjson"),
        *("--output", "out", "--engine", engine),
    )

    assert (done.returncode, done.stderr) == (SUCCESS, b"")
    assert (folder / "out").read_bytes() == RESULT


@pytest.mark.parametrize("engine", ["split", "monolith"])
def test_a_url_that_cannot_be_read_fails_the_run(
    folder: Path, http: str, engine: str
) -> None:
    """In one line, which leaves out what may be secret."""
    done = pipeline(
        *("run", "a.ndjson", f"{http}/none?token=secret", "--output", "out"),
        *("--engine", engine),
    )

    assert (done.returncode, done.stdout) == (FAILED, b"")
    assert done.stderr.count(b"\n") == 1
    assert f"can't read {http}/none?***: no such file".encode() in done.stderr
    assert not (folder / "out").exists()


def test_a_pattern_that_no_url_matches_is_named(folder: Path) -> None:
    """As one of local files is."""
    done = pipeline("run", f"{folder.as_uri()}/*.csv", "--output", "out")

    assert done.returncode == USAGE
    assert done.stderr.endswith(b"/*.csv: no file matches this pattern\n")
