"""A small git repository with benchmarks."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

# "Installs" the packages of this environment in that of a side, instantly.
_LINK = """
import pathlib, sys, sysconfig
path = pathlib.Path(sysconfig.get_path("purelib"), "linked.pth")
path.write_text(f"import site; site.addsitedir({sys.argv[1]!r})")
"""

INSTALL = shlex.join(["python", "-c", _LINK, sysconfig.get_path("purelib")])

# Only work advances the clock, so that verdicts do not depend on the machine.
WORK = """
now = 0.0

def clock():
    return now

def work(times=1):
    global now
    now += times / 1024
    return times
"""

BENCHMARKS = """
import pytest
from work import clock, work

pytestmark = pytest.mark.benchmark(timer=clock)

def test_one(benchmark):
    assert benchmark(work) > 0

def test_other(benchmark):
    assert benchmark.pedantic(work, rounds=3) > 0

def test_that_is_none():
    raise AssertionError
"""


@dataclass(frozen=True)
class Project:
    """A repository with the branch main."""

    folder: Path

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        (self.folder / name).write_text(text)

    def commit(self, name: str, text: str) -> str:
        """Write a file, commit everything, and return the commit."""
        self.write(name, text)
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", "-m", name)
        return self.git("rev-parse", "HEAD")

    def git(self, *words: str) -> str:
        """Run git, and return its output."""
        said = subprocess.run(
            ["git", *words],  # noqa: S607 - any git will do
            cwd=self.folder,
            env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull},
            capture_output=True,
            check=True,
            text=True,
        )
        return said.stdout.strip()

    def gate(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the gate."""
        return subprocess.run(
            self.command(*words),
            cwd=self.folder,
            capture_output=True,
            check=False,
            text=True,
        )

    def command(self, *words: str) -> list[str]:
        """Return the command that runs the gate, without downloads."""
        return [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider"),
            *("--pipeline-gate-install", INSTALL),
            *words,
        ]


def new_project(folder: Path) -> Project:
    """Return a repository without a commit."""
    folder.mkdir()
    project = Project(folder)
    project.git("init", "-q", "-b", "main")
    project.git("config", "user.name", "Somebody")
    project.git("config", "user.email", "somebody@localhost")
    return project
