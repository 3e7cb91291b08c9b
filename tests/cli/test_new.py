"""A new project works as it is, and takes the place of nothing."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import SUCCESS, USAGE, pipeline


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was just made."""
    folder = tmp_path_factory.mktemp("new") / "heating"
    done = pipeline("new", folder)
    assert (done.returncode, done.stderr) == (SUCCESS, b"")
    assert str(folder) in done.stdout.decode()
    return folder


def test_its_tests_and_benchmarks_pass(project: Path) -> None:
    """With warnings as errors, and with nothing but this package installed."""
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error"]
    # Within a worker of xdist, pytest-benchmark would take it for one too.
    environment = {
        name: value for name, value in os.environ.items() if "PYTEST" not in name
    }

    subprocess.run(
        [*command, "tests", "benchmarks"], cwd=project, env=environment, check=True
    )


def test_the_runs_in_its_readme_give_equal_results(project: Path) -> None:
    """The line that is no reading is rejected with its reason."""
    lines = (project / "README.md").read_text().splitlines()
    commands = [line for line in lines if line.startswith(("pipeline ", "cmp "))]

    for line in commands:
        words = shlex.split(line.replace("pipeline ", "-m pipeline ", 1))
        command = [sys.executable, *words] if words[0] == "-m" else words
        subprocess.run(command, cwd=project, check=True, capture_output=True)

    assert len(commands) == 3
    assert b'"reason":"no_sensor"' in (project / "rejects.ndjson").read_bytes()


def test_it_has_its_name_and_hidden_files(project: Path) -> None:
    """Nothing is left of the names in this package."""
    assert 'name = "heating"' in (project / "pyproject.toml").read_text()
    assert (project / ".github/workflows/gate.yml").is_file()
    assert (project / ".gitignore").is_file()
    files = [path for path in project.rglob("*") if path.is_file()]
    assert not [path for path in files if path.name.startswith("dot-")]
    assert not [path for path in files if b"new-project" in path.read_bytes()]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    """A dot can't name a project, so one is named by its folder."""
    (tmp_path / "heating").mkdir()

    assert pipeline("new", tmp_path / "heating").returncode == SUCCESS
    assert (tmp_path / "heating" / "workload.py").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["heating"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("full", b"is there already"),
        ("file", b"is there already"),
        ("link", b"is there already"),
        ("-x-", b"is no name for a project"),
        ("a b", b"is no name for a project"),
        ("caf\xe9", b"is no name for a project"),
    ],
)
def test_a_name_that_can_not_be_used_is_refused(
    tmp_path: Path, name: str, why: bytes
) -> None:
    """In one line, and what is there stays."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    before = sorted(tmp_path.rglob("*"))

    done = pipeline("new", "--", tmp_path / name)

    assert done.returncode == USAGE
    assert why in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
