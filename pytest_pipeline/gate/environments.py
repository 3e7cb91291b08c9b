"""The environments of both sides: built at the same time, or there already."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import current_thread, main_thread
from types import FrameType

from pipeline.transport.process_group import end_group
from pytest_pipeline.gate.errors import GateFaultError, GateUsageError
from pytest_pipeline.gate.side_session import last_line

_POLL_S = 0.1
#: The first pip with --group, for dependency groups.
_PIP_WITH_GROUPS = (25, 1)
_UPGRADE = "python -m pip install --disable-pip-version-check --quiet --upgrade pip"
#: The side's pytest gets -P.
_OLDEST_PYTHON = (3, 11)
_PROBE = """
import importlib.util, json, sys, sysconfig
print(json.dumps({
    "version": sys.version_info[:3],
    "prefix": sys.prefix,
    "site": sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}),
    "missing": [
        name for name, module in (
            ("pytest", "pytest"), ("pytest-benchmark", "pytest_benchmark")
        ) if importlib.util.find_spec(module) is None
    ],
}))
"""


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
    #: The environment variables of its commands.
    environ: Mapping[str, str]


@dataclass(frozen=True)
class SidePython:
    """The Python of one side, with pytest and pytest-benchmark."""

    executable: Path
    prefix: Path
    #: The version of each distribution that is installed, by name.
    versions: Mapping[str, str]


def build_environments(builds: Sequence[SideBuild], commands: Sequence[str]) -> None:
    """Build the environments.

    Args:
        builds: What to build, and where.
        commands: For each a line for the shell that installs the project. It runs in
            the checkout, with the environment's programs first on the path.

    Raises:
        GateFaultError: A command failed.
    """
    venv = [sys.executable, "-m", "venv"]
    _run_all(builds, [[*venv, str(build.environment)] for build in builds])
    if any("--group" in command for command in commands) and any(
        _pip_version(build.environment) < _PIP_WITH_GROUPS for build in builds
    ):
        _run_all(builds, [["sh", "-c", _UPGRADE]] * len(builds))
    _run_all(builds, [["sh", "-c", command] for command in commands])


def python_at(path: Path) -> Path:
    """Return the Python of a virtual environment, or the Python that a path names.

    Raises:
        GateUsageError: There is none.
    """
    python = path / "bin" / "python" if path.is_dir() else path
    found = shutil.which(str(python))
    if found is None:
        raise GateUsageError(
            f"prepared environment {path}: is no Python and has no bin/python; name "
            f"the folder of a virtual environment, or a Python in one"
        )
    return Path(found).absolute()


def inspected(
    name: str, python: Path, environ: Mapping[str, str], hint: str
) -> SidePython:
    """Return what an environment has, and check that it has what the gate needs.

    Args:
        name: The side, in messages.
        python: Its Python.
        environ: The environment variables of the side.
        hint: What to do if pytest or pytest-benchmark is missing.

    Raises:
        GateFaultError: It can't be started, is too old, or lacks one of them.
    """
    try:
        done = subprocess.run(  # noqa: S603 - the Python of the side
            [str(python), "-I", "-c", _PROBE],
            env=environ,
            capture_output=True,
            check=False,
            encoding="utf-8",
        )
        found = json.loads(done.stdout)
    except (OSError, ValueError):
        raise GateFaultError(f"{name}: {python}: can't be started") from None
    if tuple(found["version"]) < _OLDEST_PYTHON:
        version = ".".join(map(str, found["version"]))
        raise GateFaultError(
            f"{name}: {python}: is Python {version}; the gate needs 3.11 or later"
        )
    if found["missing"]:
        raise GateFaultError(
            f"{name}: {' and '.join(found['missing'])} can't be imported by "
            f"{python}; {hint}"
        )
    return SidePython(
        python, Path(found["prefix"]), versions_in(map(Path, found["site"]))
    )


def versions_in(folders: Iterable[Path]) -> dict[str, str]:
    """Return the version of each distribution in folders of packages, by name."""
    # Folder names are enough, and robust against missing metadata. An interrupted pip
    # leaves folders that begin with a tilde.
    paths = [path for folder in folders for path in folder.glob("[!~]*-*.dist-info")]
    found = {}
    for path in sorted(paths, key=lambda path: path.name.lower()):
        name, _, version = path.stem.rpartition("-")
        found[name.replace("_", "-")] = version
    return found


def _pip_version(environment: Path) -> tuple[int, ...]:
    """Return the version of pip in an environment, or that of one without end."""
    versions = versions_in(environment.glob("lib/python*/site-packages"))
    numbers = re.findall(r"\d+", versions.get("pip", ""))
    return tuple(map(int, numbers[:2])) or _PIP_WITH_GROUPS


def _run_all(
    builds: Sequence[SideBuild],
    commands: Sequence[Sequence[str]],
) -> None:
    """Run one command per build, all at once; the first failure ends the others."""
    running: list[subprocess.Popen[bytes]] = []
    try:
        for build, words in zip(builds, commands, strict=True):
            with _uninterrupted():
                running.append(_start(build, words))
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


def _start(build: SideBuild, words: Sequence[str]) -> subprocess.Popen[bytes]:
    with build.log.open("ab") as log:
        try:
            return subprocess.Popen(  # noqa: S603 - the user's own command
                # env looks the program up on the path of the environment.
                ["/usr/bin/env", *words],
                cwd=build.checkout,
                env=build.environ,
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
    # The line of a shell is more readable than the words that start it.
    line = words[2] if words[:2] == ["sh", "-c"] else " ".join(words)
    output = build.log.read_text(errors="replace")
    return GateFaultError(
        f"{build.name}: can't be built: {line}: {said}", output=output, log=build.log
    )
