"""Building the environment of a side."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pytest_pipeline.gate.environments import (
    SideBuild,
    build_environments,
    inspected,
    python_at,
    versions_in,
)
from pytest_pipeline.gate.errors import GateFaultError, GateUsageError


def test_versions_are_read_from_the_environment(tmp_path: Path) -> None:
    """Sorted by name, without half-removed distributions."""
    site = tmp_path / "environment" / "lib" / "python3.11" / "site-packages"
    for folder in ("the_thing-1.2.dist-info", "Also-3.dist-info", "~so-2.dist-info"):
        (site / folder).mkdir(parents=True)
    (site / "thing").mkdir()

    versions = versions_in([site])

    assert list(versions.items()) == [("Also", "3"), ("the-thing", "1.2")]


def test_a_missing_environment_has_no_versions(tmp_path: Path) -> None:
    """An install command might remove it."""
    assert versions_in([tmp_path / "no"]) == {}


def build_in(folder: Path) -> SideBuild:
    """Return a build in a folder."""
    return SideBuild(
        "ours", folder, folder / "environment", folder / "log", dict(os.environ)
    )


class InterruptedPopen(subprocess.Popen[bytes]):
    """A process that is interrupted after its start, before ``Popen`` returns."""

    started: ClassVar[list[subprocess.Popen[bytes]]] = []

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Start it."""
        super().__init__(*arguments, **options)
        self.started.append(self)
        signal.raise_signal(signal.SIGINT)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_during_the_start_of_a_process_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interrupt is delayed until the process is known."""
    monkeypatch.setattr(subprocess, "Popen", InterruptedPopen)
    build = build_in(tmp_path)

    with pytest.raises(KeyboardInterrupt):
        build_environments([build], ["true"])

    assert [process.returncode for process in InterruptedPopen.started] == [
        -signal.SIGKILL
    ]


def built(folder: Path, command: str) -> SideBuild:
    """Run a command in an environment that is there already, with a fake Python."""
    build = build_in(folder)
    programs = folder / "environment" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").write_text(f'#!/bin/sh\necho "$@" >> {folder}/calls\n')
    (programs / "python").chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    build = replace(build, environ={**build.environ, "PATH": path})
    build_environments([build], [command])
    return build


@pytest.fixture
def no_venv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make ``python -m venv`` do nothing."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))


@pytest.mark.usefixtures("no_venv")
def test_an_install_command_is_a_line_for_the_shell(tmp_path: Path) -> None:
    """With everything that a shell understands."""
    built(tmp_path, "A=b; python $A && (python c | cat) > piped; test -e piped")
    assert (tmp_path / "calls").read_text().split() == ["b", "c"]


@pytest.mark.usefixtures("no_venv")
@pytest.mark.parametrize(
    ("pip", "command", "upgraded"),
    [
        ("23.2.1", "python -m pip install --group test", True),
        ("25.1", "python -m pip install --group test", False),
        ("23.2.1", "python -m pip install .", False),
    ],
)
def test_an_old_pip_is_upgraded_if_the_command_needs_it(
    tmp_path: Path, pip: str, command: str, upgraded: bool
) -> None:
    """Dependency groups need pip 25.1."""
    site = tmp_path / "environment" / "lib" / "python3.11" / "site-packages"
    (site / f"pip-{pip}.dist-info").mkdir(parents=True)

    built(tmp_path, command)

    *before, last = (tmp_path / "calls").read_text().splitlines()
    assert last == command.removeprefix("python ")
    assert [line.endswith("--upgrade pip") for line in before] == [True] * upgraded


def test_a_python_without_what_the_gate_needs_is_refused(tmp_path: Path) -> None:
    """With what is missing, and what to do."""
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True
    )

    with pytest.raises(GateFaultError) as refused:
        inspected("old", python_at(tmp_path / "bare"), os.environ, "install them")

    python = tmp_path / "bare" / "bin" / "python"
    assert str(refused.value) == (
        f"old: pytest and pytest-benchmark can't be imported by {python}; install them"
    )


def test_a_python_with_them_is_taken() -> None:
    """A folder and an executable are the same; the versions are those inside."""
    folder, file = python_at(Path(sys.prefix)), python_at(Path(sys.executable))

    found = inspected("old", folder, os.environ, "")

    assert file.samefile(folder)
    assert found.versions["pytest"] == version("pytest")


@pytest.mark.parametrize("text", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho hello\n"])
def test_a_program_that_is_no_python_is_refused(tmp_path: Path, text: str) -> None:
    """Whatever it says."""
    program = tmp_path / "python"
    program.write_text(text)
    program.chmod(0o755)

    with pytest.raises(GateFaultError, match=f"old: {program}: can't be started"):
        inspected("old", python_at(program), os.environ, "")


def test_an_old_python_is_refused(tmp_path: Path) -> None:
    """By its version."""
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\necho \'{"version": [3, 8, 1], "missing": []}\'\n')
    program.chmod(0o755)

    with pytest.raises(
        GateFaultError, match=r"is Python 3\.8\.1; the gate needs 3\.11"
    ):
        inspected("old", program, os.environ, "")


def test_a_prepared_environment_must_be_there(tmp_path: Path) -> None:
    """A folder without a Python is none."""
    with pytest.raises(GateUsageError, match="is no Python and has no bin/python"):
        python_at(tmp_path)
