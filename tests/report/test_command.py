"""The command ``pipeline report``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.report.sessions import save, session


def pipeline(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a folder, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )


def test_a_saved_file_becomes_a_page(tmp_path: Path) -> None:
    """The default name is report.html."""
    save(session(), tmp_path / "saved.json")

    done = pipeline(tmp_path, "report", "saved.json")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "written: report.html\n"
    assert "the split at batch size 100" in (tmp_path / "report.html").read_text(
        "utf-8"
    )


def test_an_unreadable_file_leaves_the_earlier_page(tmp_path: Path) -> None:
    """The error is one line, and the exit code 1."""
    (tmp_path / "saved.json").write_text('{"machine_info": {}, "benchmarks": []}')
    (tmp_path / "report.html").write_text("earlier")

    done = pipeline(tmp_path, "report", "saved.json")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("pipeline: saved.json: none of its 0 benchmarks")
    assert done.stderr.count("\n") == 1
    assert (tmp_path / "report.html").read_text() == "earlier"


def test_an_earlier_file_is_overlaid(tmp_path: Path) -> None:
    """Its series are in the charts."""
    save(session(), tmp_path / "saved.json")
    save(session(), tmp_path / "earlier.json")

    done = pipeline(tmp_path, "report", "saved.json", "--against", "earlier.json")

    assert (done.returncode, done.stderr) == (0, "")
    assert 'data-name="split, before"' in (tmp_path / "report.html").read_text("utf-8")


def test_an_unreadable_earlier_file_is_named(tmp_path: Path) -> None:
    """The error is one line, and nothing is written."""
    save(session(), tmp_path / "saved.json")

    done = pipeline(tmp_path, "report", "saved.json", "--against", "earlier.json")

    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr == "pipeline: can't read earlier.json: no such file or directory\n"
    )
    assert not (tmp_path / "report.html").exists()


def test_a_file_is_not_compared_with_itself(tmp_path: Path) -> None:
    """The result would be that nothing has changed."""
    save(session(), tmp_path / "saved.json")

    done = pipeline(tmp_path, "report", "saved.json", "--against", "./saved.json")

    assert done.returncode == 2
    assert "--against saved.json: is the same file as SAVED" in done.stderr


def test_the_saved_file_is_not_overwritten(tmp_path: Path) -> None:
    """The page needs another name."""
    path = save(session(), tmp_path / "saved.json")
    before = path.read_bytes()

    done = pipeline(tmp_path, "report", "saved.json", "--output", "./saved.json")

    assert done.returncode == 2
    assert "is the same file as SAVED" in done.stderr
    assert path.read_bytes() == before
