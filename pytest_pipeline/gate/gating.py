"""The gate from end to end: check out, build, measure, judge, report."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import PipelineError
from pipeline.standard_streams import print_out
from pytest_pipeline.gate.arguments import in_a_side, relative_to_top
from pytest_pipeline.gate.environments import (
    SideBuild,
    SidePython,
    build_environments,
    inspected,
    python_at,
)
from pytest_pipeline.gate.errors import GateFaultError
from pytest_pipeline.gate.installation import installation_of
from pytest_pipeline.gate.measuring import Measurement, pair_starter
from pytest_pipeline.gate.options import GateSettings
from pytest_pipeline.gate.outcome import Conditions, GateResult, gate_result
from pytest_pipeline.gate.revisions import Repository, Revision
from pytest_pipeline.gate.side_session import Side
from pytest_pipeline.gate.submodules import check_out_submodules
from pytest_pipeline.gate.summary import check_summary, write_summary
from pytest_pipeline.gate.surroundings import Surroundings, temporary_parent
from pytest_pipeline.gate.text import terminal_lines
from pytest_pipeline.gate.verdict import BenchmarkResult
from pytest_pipeline.measure.machine import this_machine

#: How many lines of the output of a failed test or command are shown.
_SHOWN_LINES = 30


def run_gate(settings: GateSettings, arguments: Sequence[str], folder: Path) -> int:
    """Run the gate, and return its exit code.

    Progress and verdicts go to standard output. An error that prevents a verdict is one
    line on standard error, after the end of what the failed test or command said.

    Args:
        settings: The gate's settings.
        arguments: Arguments for the pytest of both sides.
        folder: The folder in which the gate was started.
    """
    try:
        with _ended_in_order():
            if settings.summary is not None:
                check_summary(folder / settings.summary)
            found = _gate(settings, arguments, folder)
            written = (
                write_summary(found, folder / settings.summary)
                if settings.summary is not None
                else ()
            )
            for line in terminal_lines(found):
                _print(line)
            if written:
                _print(f"written: {', '.join(map(str, written))}")
    except GateFaultError as error:
        for line in error.output.rstrip().splitlines()[-_SHOWN_LINES:]:
            sys.stderr.write(f"{line}\n")
        if error.log is not None:
            sys.stderr.write(f"gate: all of its output: {error.log}\n")
        sys.stderr.write(f"gate: {error}\n")
        return error.exit_code
    except PipelineError as error:
        sys.stderr.write(f"gate: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("gate: interrupted\n")
        return pytest.ExitCode.INTERRUPTED
    return found.exit_code


@dataclass(frozen=True)
class _SideFiles:
    """One revision and the folders of its side."""

    revision: Revision
    #: The name in messages.
    name: str
    checkout: Path
    #: A prefix of the paths of its other files.
    beside: str

    def path(self, what: str) -> Path:
        """Return the path of a file or folder of this side."""
        return self.checkout.parent / f"{self.beside}-{what}"


def _gate(settings: GateSettings, arguments: Sequence[str], folder: Path) -> GateResult:
    """Find both revisions, check them out, make their environments, and measure."""
    began = time.perf_counter()
    when = datetime.now(UTC).isoformat(timespec="seconds")
    repository = Repository(folder)
    prepared = settings.prepared and tuple(
        python_at(folder / path) for path in settings.prepared
    )
    with ExitStack() as stack:
        scratch = _scratch(repository.top, stack)
        old, new = repository.old(settings.against), repository.new(scratch)
        _print(f"gate: old is {old.name}, new is {new.name}")

        def result(
            benchmarks: Sequence[BenchmarkResult],
            versions: Sequence[Mapping[str, str]] = ({}, {}),
            why: str = "",
        ) -> GateResult:
            conditions = Conditions(
                machine=this_machine(),
                when=when,
                old_versions=dict(versions[0]),
                new_versions=dict(versions[1]),
            )
            seconds = time.perf_counter() - began
            return gate_result(old.name, new.name, seconds, conditions, benchmarks, why)

        if old.commit == new.commit:
            return result([], why=f"old and new are one commit, {new.commit[:8]}")
        sides = [
            _checked_out(which, revision, repository, scratch, folder, stack)
            for which, revision in (("old", old), ("new", new))
        ]
        surroundings = Surroundings(
            os.environ, repository.top, folder, repository.variables, sides[1].checkout
        )
        below = _below(repository.top, folder)
        if prepared:
            pythons = _prepared(prepared, sides, surroundings)
        else:
            pythons = _built(settings, sides, surroundings, below)
            _print(f"gate: both are built after {time.perf_counter() - began:.0f} s")
        pair = [
            Side(
                side.name,
                side.checkout / below,
                python.executable,
                surroundings.of_sessions(
                    side.checkout, python.prefix, side.path("temp")
                ),
            )
            for side, python in zip(sides, pythons, strict=True)
        ]
        benchmarks = Measurement(
            pair_starter(
                (pair[0], pair[1]),
                in_a_side(arguments, repository.top, folder),
                scratch,
            ),
            threshold=settings.threshold,
            left_s=lambda: began + settings.budget - time.perf_counter(),
            say=lambda line: _print(f"gate: {line}"),
        ).results()
        return result(benchmarks, [python.versions for python in pythons])


def _below(top: Path, folder: Path) -> Path:
    """Return the folder relative to the top of the repository."""
    return Path(relative_to_top(str(folder), top) or ".")


def _scratch(top: Path, stack: ExitStack) -> Path:
    """Return a temporary folder outside of the repository; keep the log of a fault."""
    parent = temporary_parent(top)
    scratch = Path(
        stack.enter_context(
            tempfile.TemporaryDirectory(prefix="pipeline-gate-", dir=parent)
        )
    )
    stack.enter_context(_kept_log(parent))
    return scratch


@contextmanager
def _kept_log(parent: Path) -> Iterator[None]:
    """Move the log of a fault to ``parent``, where it is kept."""
    try:
        yield
    except GateFaultError as error:
        if error.log is not None and error.log.exists():
            number, kept = tempfile.mkstemp(
                prefix="gate-failed-", suffix=".log", dir=parent
            )
            os.close(number)
            shutil.copyfile(error.log, kept)
            error.log = Path(kept)
        else:
            error.log = None
        raise


def _checked_out(
    which: str,
    revision: Revision,
    repository: Repository,
    scratch: Path,
    folder: Path,
    stack: ExitStack,
) -> _SideFiles:
    """Check a revision out, with its submodules."""
    # "old" and "new" are equally long: the length of a path shifts memory.
    side = _SideFiles(
        revision, f"{which} revision, {revision.name}", scratch / which, which
    )
    stack.enter_context(repository.checked_out(revision, side.checkout))
    check_out_submodules(
        repository.top,
        side.checkout,
        repository.variables,
        lambda line: _print(f"gate: {which}: {line}"),
    )
    # A revision that lacks this folder has no benchmarks in it.
    (side.checkout / _below(repository.top, folder)).mkdir(parents=True, exist_ok=True)
    side.path("temp").mkdir()
    return side


def _built(
    settings: GateSettings,
    sides: Sequence[_SideFiles],
    surroundings: Surroundings,
    below: Path,
) -> list[SidePython]:
    """Build the environments of both sides."""
    builds, commands, described = [], [], []
    for side in sides:
        environment = side.path("environment")
        environ = surroundings.of_builds(side.checkout, environment, side.path("temp"))
        builds.append(
            SideBuild(
                side.name, side.checkout, environment, side.path("build.log"), environ
            )
        )
        commands.append(settings.install)
        if not settings.install:
            requirements = side.path("requirements.txt")
            found = installation_of(side.checkout, below, requirements)
            requirements.write_text(found.requirements, encoding="utf-8")
            commands[-1] = found.command
            described.append(found.described)
    for line in dict.fromkeys(described):
        _print(f"gate: installs {line}")
    build_environments(builds, commands)
    return [
        inspected(
            build.name,
            build.environment / "bin" / "python",
            build.environ,
            f"name a command that installs {'it' if settings.install else 'them'}, "
            f"with --pipeline-gate-install (pipeline gate --install)",
        )
        for build in builds
    ]


def _prepared(
    pythons: Sequence[Path], sides: Sequence[_SideFiles], surroundings: Surroundings
) -> list[SidePython]:
    """Check the environments that are there already."""
    return [
        inspected(
            side.name,
            python,
            surroundings.of_builds(
                side.checkout, python.parent.parent, side.path("temp")
            ),
            "install it there",
        )
        for side, python in zip(sides, pythons, strict=True)
    ]


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Handle SIGTERM like Ctrl-C, so that the gate cleans up."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _print(line: str) -> None:
    # Whether it can be printed changes no verdict.
    print_out(f"{line}\n")
