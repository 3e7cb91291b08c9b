"""Making the environment of a side, and what it has in it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pytest_pipeline.gate.environments import SideBuild, build_environments, versions_in


def test_versions_are_those_of_the_environment(tmp_path: Path) -> None:
    """By name, without what is installed here, and without what is half removed."""
    site = tmp_path / "environment" / "lib" / "python3.11" / "site-packages"
    for folder in ("the_thing-1.2.dist-info", "Also-3.dist-info", "~so-2.dist-info"):
        (site / folder).mkdir(parents=True)
    (site / "thing").mkdir()
    build = SideBuild("new", tmp_path, tmp_path / "environment", tmp_path / "log")

    versions = versions_in(build)

    assert list(versions.items()) == [("Also", "3"), ("the-thing", "1.2")]


def test_an_environment_of_nothing_has_no_versions(tmp_path: Path) -> None:
    """Such as one that a side's command has taken away."""
    assert versions_in(SideBuild("new", tmp_path, tmp_path / "no", tmp_path)) == {}


class InterruptedPopen(subprocess.Popen[bytes]):
    """A process that is up when an interrupt comes, and whose caller has it not yet."""

    started: ClassVar[list[subprocess.Popen[bytes]]] = []

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Start it."""
        super().__init__(*arguments, **options)
        self.started.append(self)
        signal.raise_signal(signal.SIGINT)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Interrupts are heeded, as they may not be in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_while_a_process_starts_ends_that_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is heeded once the process is known."""
    monkeypatch.setattr(subprocess, "Popen", InterruptedPopen)
    build = SideBuild("ours", tmp_path, tmp_path / "environment", tmp_path / "log")

    with pytest.raises(KeyboardInterrupt):
        build_environments([build])

    assert [process.returncode for process in InterruptedPopen.started] == [
        -signal.SIGKILL
    ]
