"""Building the environment of a side."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pytest_pipeline.gate.environments import SideBuild, build_environments, versions_in


def test_versions_are_read_from_the_environment(tmp_path: Path) -> None:
    """Sorted by name, without half-removed distributions."""
    site = tmp_path / "environment" / "lib" / "python3.11" / "site-packages"
    for folder in ("the_thing-1.2.dist-info", "Also-3.dist-info", "~so-2.dist-info"):
        (site / folder).mkdir(parents=True)
    (site / "thing").mkdir()
    build = SideBuild("new", tmp_path, tmp_path / "environment", tmp_path / "log")

    versions = versions_in(build)

    assert list(versions.items()) == [("Also", "3"), ("the-thing", "1.2")]


def test_a_missing_environment_has_no_versions(tmp_path: Path) -> None:
    """An install command might remove it."""
    assert versions_in(SideBuild("new", tmp_path, tmp_path / "no", tmp_path)) == {}


class InterruptedPopen(subprocess.Popen[bytes]):
    """A process that is interrupted after its start, before ``Popen`` returns."""

    started: ClassVar[list[subprocess.Popen[bytes]]] = []

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Start it."""
        super().__init__(*arguments, **options)
        self.started.append(self)
        signal.raise_signal(signal.SIGINT)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Enable interrupts, which a shell ignores in background jobs."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_during_the_start_of_a_process_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interrupt is delayed until the process is known."""
    monkeypatch.setattr(subprocess, "Popen", InterruptedPopen)
    build = SideBuild("ours", tmp_path, tmp_path / "environment", tmp_path / "log")

    with pytest.raises(KeyboardInterrupt):
        build_environments([build])

    assert [process.returncode for process in InterruptedPopen.started] == [
        -signal.SIGKILL
    ]
