"""The stages in other languages: build them once, and find their programs.

The sources are the folder ``stages`` of the repository, which the wheel has too. A
build is kept in the user's cache folder under a digest of its sources, so that a run
needs no toolchain and no network, and never uses an outdated program.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import StageError, UsageError, one_line
from pipeline.workload import Workload

PYTHON = "python"

#: The stages that every language but Python has, by workload. Work items are made by a
#: generator of numpy, so only Python has their ingest.
SERVED = {
    "events": ("ingest", "parse", "rules", "aggregate", "sink"),
    "work-items": ("parse", "rules", "aggregate", "sink"),
}

#: Stages in three languages, and the others in Python, as `programs_of` reads it.
MIX = "parse=rust,rules=go,aggregate=typescript"

_PACKAGE = Path(__file__).parent
_DIGEST_LENGTH = 16
#: Files and folders beside the sources that no program is built from: what toolchains
#: make there, documentation, and what tests read.
_NO_SOURCES = {
    *("node_modules", "dist", "target", "bin"),
    *("README.md", "conformance.toml", "golden"),
}


@dataclass(frozen=True)
class Language:
    """How the stages in a language are built and started."""

    #: What ``--stages`` calls it.
    name: str
    #: The folder of its sources in ``stages``.
    folder: str
    #: A command that succeeds where the toolchain is.
    toolchain: tuple[str, ...]
    #: The commands that build it, run in its folder.
    steps: tuple[tuple[str, ...], ...]
    #: The files and folders that a run needs, relative to its folder.
    artifacts: tuple[str, ...]
    #: The words that start a stage; the last is a path relative to its folder.
    words: tuple[str, ...]

    def missing_toolchain(self) -> str:
        """Return why its toolchain can't be used; "" if it can."""
        try:
            subprocess.run(  # noqa: S603 - a toolchain
                self.toolchain, capture_output=True, check=True, timeout=60
            )
        except FileNotFoundError:
            return f"{self.toolchain[0]} is not on PATH"
        except (OSError, subprocess.SubprocessError) as error:
            return one_line(error)
        return ""

    def is_built(self) -> bool:
        """Return whether it was built from the sources as they are."""
        return self._home().is_dir()

    def program(self) -> tuple[str, ...]:
        """Return the words that start a stage, without its arguments.

        Raises:
            UsageError: It is not built, or its sources have changed since.
        """
        if not self.is_built():
            raise UsageError(
                f"the stages in {self.name} are not built; run: pipeline build-stages "
                f"{self.name}"
            )
        return (*self.words[:-1], str(self._home() / self.words[-1]))

    def build(self, on_step: Callable[[str], None] = lambda _: None) -> bool:
        """Build the program; return False if it was built before.

        Args:
            on_step: Called with each command before it runs.

        Raises:
            UsageError: The toolchain is missing.
            StageError: A command failed.
        """
        if self.is_built():
            return False
        if why := self.missing_toolchain():
            raise UsageError(f"the stages in {self.name} can't be built: {why}")
        home = self._home()
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="building-", dir=home.parent) as name:
            folder = Path(name) / "stages" / self.folder
            ignored = shutil.ignore_patterns(*_NO_SOURCES)
            shutil.copytree(_sources() / "proto", Path(name) / "proto", ignore=ignored)
            shutil.copytree(self._sources(), folder, ignore=ignored)
            for step in self.steps:
                on_step(shlex.join(step))
                self._run(step, folder, home.parent / f"{self.name}.log")
            made = Path(name) / "made"
            for artifact in self.artifacts:
                target = made / artifact
                target.parent.mkdir(parents=True, exist_ok=True)
                (folder / artifact).rename(target)
            for other in home.parent.glob(f"{self.name}-{'?' * _DIGEST_LENGTH}"):
                if other != home:
                    shutil.rmtree(other, ignore_errors=True)
            try:
                made.rename(home)
            except OSError:
                # Another process may have built it meanwhile.
                if not self.is_built():
                    raise
        return True

    def _run(self, step: tuple[str, ...], folder: Path, log: Path) -> None:
        with log.open("wb") as output:
            status = subprocess.run(  # noqa: S603 - a step of the build
                step,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
        if status:
            raise StageError(
                f"the stages in {self.name} can't be built: {shlex.join(step)} ended "
                f"with exit code {status}; see {log}"
            )

    def _home(self) -> Path:
        return cache_folder() / f"{self.name}-{self._digest()}"

    def _digest(self) -> str:
        # How it is built counts as well.
        digest = hashlib.sha256(repr(self).encode())
        sources = _sources()
        for root in (sources / "proto", self._sources()):
            for path in _files(root):
                digest.update(f"{path.relative_to(sources)}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()[:_DIGEST_LENGTH]

    def _sources(self) -> Path:
        return _sources() / "stages" / self.folder


def _cargo(name: str, *options: str) -> Language:
    program = "bin/pipeline-stage"
    # A target folder in the cache keeps the dependencies that are compiled already.
    target = ("--target-dir", "../../../cargo-target")
    path = ("--path", ".", "--root", ".")
    return Language(
        name,
        folder="rust",
        toolchain=("cargo", "--version"),
        steps=(
            ("cargo", "install", "--locked", "--no-track", *path, *target, *options),
        ),
        artifacts=(program,),
        words=(program,),
    )


LANGUAGES = {
    language.name: language
    for language in (
        Language(
            name="go",
            folder="go",
            toolchain=("go", "version"),
            steps=(("go", "build", "-trimpath", "-o", "bin/pipeline-stage", "."),),
            artifacts=("bin/pipeline-stage",),
            words=("bin/pipeline-stage",),
        ),
        _cargo("rust"),
        _cargo("rust-debug", "--debug"),
        Language(
            name="typescript",
            folder="typescript",
            toolchain=("npm", "--version"),
            steps=(
                ("npm", "ci", "--no-audit", "--no-fund"),
                ("npm", "run", "build"),
                ("npm", "prune", "--omit=dev", "--no-audit", "--no-fund"),
            ),
            artifacts=("dist", "node_modules", "package.json"),
            words=("node", "dist/main.js"),
        ),
    )
}


def language_named(name: str) -> Language:
    """Return a language other than Python; raise UsageError if there is none."""
    try:
        return LANGUAGES[name]
    except KeyError:
        known = ", ".join((PYTHON, *LANGUAGES))
        raise UsageError(f"language {name!r}: there is {known}") from None


def programs_of(text: str, workload: Workload) -> dict[str, tuple[str, ...]]:
    """Return the program of each stage that is not in Python.

    Args:
        text: A language, which serves every stage that it has; or
            ``STAGE=LANGUAGE,…``, where Python serves the stages that are not named.
        workload: The workload that the stages belong to.

    Returns:
        The words that start the program, by stage.

    Raises:
        UsageError: ``text`` names no stage, no language, or a stage that the language
            does not have; or a program is not built.
    """
    served = SERVED.get(workload.name, ())
    if "=" not in text:
        chosen = dict.fromkeys(served, text)
        if not served and text != PYTHON:
            _refuse(text, workload, "has no stages")
    else:
        chosen = dict(_pairs(text))
    programs = {}
    for stage, name in chosen.items():
        if stage not in workload.stage_names:
            known = ", ".join(workload.stage_names)
            raise UsageError(f"stage {stage!r}: workload {workload.name} has {known}")
        if name == PYTHON:
            continue
        language = language_named(name)
        if stage not in served:
            _refuse(name, workload, f"has no {stage}")
        programs[stage] = language.program()
    return programs


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    named = set()
    for part in text.split(","):
        stage, equals, name = part.partition("=")
        if not (stage and equals and name):
            raise UsageError(f"{part!r}: must be LANGUAGE, or STAGE=LANGUAGE,…")
        if stage in named:
            raise UsageError(f"stage {stage}: is given two languages")
        named.add(stage)
        yield stage, name


def _refuse(name: str, workload: Workload, lack: str) -> None:
    language_named(name)
    raise UsageError(f"{name} {lack} of workload {workload.name}; leave it to {PYTHON}")


def _sources() -> Path:
    """Return the folder with ``stages`` and ``proto``: in the wheel, or above it."""
    in_wheel = _PACKAGE / "sources"
    return in_wheel if in_wheel.is_dir() else _PACKAGE.parent


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(set(folders) - _NO_SOURCES)
        yield from (Path(folder, name) for name in sorted(set(names) - _NO_SOURCES))


def cache_folder() -> Path:
    """Return the folder of the user in which programs are kept."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "pytest-grpc-pipeline" / "stages"
