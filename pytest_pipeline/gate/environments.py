"""Build a virtual environment for each revision, both at the same time."""

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
from pytest_pipeline.gate.side_session import Side, last_line

#: The command that installs a project with the dependencies of its tests.
INSTALL = "python -m pip install --disable-pip-version-check --quiet .[test]"

_POLL_S = 0.1
# Prefixes of variables that would lead a side to another Python or its packages.
_DROPPED = (
    *("PYTHONHOME", "PYTHONPATH", "PYTEST_CURRENT_TEST"),
    # pytest-cov and pytest-xdist set these for their child processes.
    *("COV_CORE_", "PYTEST_XDIST_"),
)


@dataclass(frozen=True)
class SideBuild:
    """What to build for one side, and where."""

    #: The name in messages.
    name: str
    #: The folder with its files.
    checkout: Path
    #: The folder of its environment, which need not exist yet.
    environment: Path
    #: The file for the output of its commands.
    log: Path


def build_environments(
    builds: Sequence[SideBuild], install: str = ""
) -> list[Mapping[str, str]]:
    """Build the environments, and return the environment variables of each.

    Args:
        builds: What to build, and where.
        install: The command that installs a project. It runs in each checkout, with
            the environment's programs first on the path. Empty for `INSTALL`.

    Raises:
        GateFaultError: A command failed.
    """
    environs = [_environ(build) for build in builds]
    _run_all(
        builds,
        [[sys.executable, "-m", "venv", str(build.environment)] for build in builds],
        [dict(os.environ)] * len(builds),
    )
    words = shlex.split(install or INSTALL)
    _run_all(builds, [words] * len(builds), environs)
    return environs


def side_of(build: SideBuild, environ: Mapping[str, str], below: Path) -> Side:
    """Return the side that was built; its tests run in folder ``below``."""
    return Side(
        build.name,
        build.checkout / below,
        build.environment / "bin" / "python",
        environ,
    )


def versions_in(build: SideBuild) -> dict[str, str]:
    """Return the version of each distribution in the environment, by name."""
    # Folder names are enough, and robust against missing metadata. An interrupted pip
    # leaves folders that begin with a tilde.
    folders = build.environment.glob("lib/python*/site-packages/[!~]*-*.dist-info")
    found = {}
    for folder in sorted(folders, key=lambda folder: folder.name.lower()):
        name, _, version = folder.stem.rpartition("-")
        found[name.replace("_", "-")] = version
    return found


def _environ(build: SideBuild) -> Mapping[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_DROPPED)
    }
    programs = str(build.environment / "bin")
    return {
        **kept,
        "PATH": os.pathsep.join([programs, kept.get("PATH", os.defpath)]),
        "VIRTUAL_ENV": str(build.environment),
    }


def _run_all(
    builds: Sequence[SideBuild],
    commands: Sequence[Sequence[str]],
    environs: Sequence[Mapping[str, str]],
) -> None:
    """Run one command per build, all at once; the first failure ends the others."""
    running: list[subprocess.Popen[bytes]] = []
    try:
        for build, words, environ in zip(builds, commands, environs, strict=True):
            with _uninterrupted():
                running.append(_start(build, words, environ))
        _wait_for(builds, commands, running)
    finally:
        for process in running:
            end_group(process)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Delay SIGINT: inside ``Popen`` it would lose the new process."""
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
    build: SideBuild, words: Sequence[str], environ: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    with build.log.open("ab") as log:
        try:
            return subprocess.Popen(  # noqa: S603 - the user's own command
                # env looks the program up on the path of the environment.
                ["/usr/bin/env", *words],
                cwd=build.checkout,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise _failed(build, words, str(error)) from error


def _wait_for(
    builds: Sequence[SideBuild],
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
                build = builds[number]
                raise _failed(build, commands[number], last_line(build.log))


def _failed(build: SideBuild, words: Sequence[str], said: str) -> GateFaultError:
    return GateFaultError(f"{build.name}: can't be built: {shlex.join(words)}: {said}")
