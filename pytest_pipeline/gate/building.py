"""An environment for each of two revisions, both made at the same time."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import current_thread, main_thread
from types import FrameType

from pipeline.transport.process_group import end_group
from pytest_pipeline.gate.errors import GateFaultError
from pytest_pipeline.gate.peer import Side, last_line

#: What installs a project with what its tests need.
INSTALL = "python -m pip install --disable-pip-version-check --quiet .[test]"

_POLL_S = 0.1
# What would lead a session to another Python, or to packages that are not its own.
_DROPPED = (
    *("PYTHONHOME", "PYTHONPATH", "PYTEST_CURRENT_TEST"),
    # What pytest-cov and pytest-xdist tell the processes that they start.
    *("COV_CORE_", "PYTEST_XDIST_"),
)


@dataclass(frozen=True)
class Building:
    """A revision that is to be built, and where."""

    #: How messages name it.
    name: str
    #: Its files.
    checkout: Path
    #: Where its environment is to be made.
    environment: Path
    #: What its commands say.
    log: Path


def build(buildings: Sequence[Building], install: str = "") -> list[Mapping[str, str]]:
    """Make the environments, and return the variables of each.

    ``install`` is a command that is run in each checkout, with the environment's
    programs first on the path. Raises GateFaultError where one fails.
    """
    environs = [_environ(building) for building in buildings]
    _run_all(
        buildings,
        [
            [sys.executable, "-m", "venv", str(building.environment)]
            for building in buildings
        ],
        [dict(os.environ)] * len(buildings),
    )
    words = shlex.split(install or INSTALL)
    _run_all(buildings, [words] * len(buildings), environs)
    return environs


def side_of(building: Building, environ: Mapping[str, str], below: Path) -> Side:
    """Return what was built; its tests run in that folder of the checkout."""
    return Side(
        building.name,
        building.checkout / below,
        building.environment / "bin" / "python",
        environ,
    )


def versions_in(building: Building) -> dict[str, str]:
    """Return the version of each distribution that is installed there, by name."""
    # Whose folders say it, whatever has become of the files in them; what an
    # interrupted pip has left begins with a tilde.
    folders = building.environment.glob("lib/python*/site-packages/[!~]*-*.dist-info")
    found = {}
    for folder in sorted(folders, key=lambda folder: folder.name.lower()):
        name, _, version = folder.stem.rpartition("-")
        found[name.replace("_", "-")] = version
    return found


def _environ(building: Building) -> Mapping[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_DROPPED)
    }
    programs = str(building.environment / "bin")
    return {
        **kept,
        "PATH": os.pathsep.join([programs, kept.get("PATH", os.defpath)]),
        "VIRTUAL_ENV": str(building.environment),
    }


def _run_all(
    buildings: Sequence[Building],
    commands: Sequence[Sequence[str]],
    environs: Sequence[Mapping[str, str]],
) -> None:
    """Run a command of each at the same time; the first that fails ends the others."""
    running: list[subprocess.Popen[bytes]] = []
    try:
        for building, words, environ in zip(buildings, commands, environs, strict=True):
            with _uninterrupted():
                running.append(_start(building, words, environ))
        _wait_for(buildings, commands, running)
    finally:
        for process in running:
            end_group(process)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold an interrupt back until the end: in ``Popen`` it would lose the process."""
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler) or current_thread() is not main_thread():
        yield
        return
    held: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda *interrupt: held.append(interrupt))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if held:
            handler(*held[0])


def _start(
    building: Building, words: Sequence[str], environ: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    with building.log.open("ab") as log:
        try:
            return subprocess.Popen(  # noqa: S603 - the user's own command
                # Found on the path that it is given, and not on ours.
                ["/usr/bin/env", *words],
                cwd=building.checkout,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise _failed(building, words, str(error)) from error


def _wait_for(
    buildings: Sequence[Building],
    commands: Sequence[Sequence[str]],
    running: Sequence[subprocess.Popen[bytes]],
) -> None:
    waiting = dict(enumerate(running))
    while waiting:
        for number, process in list(waiting.items()):
            try:
                code = process.wait(_POLL_S)
            except subprocess.TimeoutExpired:
                continue
            del waiting[number]
            if code:
                building = buildings[number]
                raise _failed(building, commands[number], last_line(building.log))


def _failed(building: Building, words: Sequence[str], said: str) -> GateFaultError:
    return GateFaultError(
        f"{building.name}: can't be built: {shlex.join(words)}: {said}"
    )
