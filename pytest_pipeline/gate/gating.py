"""The gate from end to end: check out, build, measure, judge, report."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import PipelineError
from pipeline.standard_streams import print_out
from pytest_pipeline.gate.environments import (
    SideBuild,
    build_environments,
    side_of,
    versions_in,
)
from pytest_pipeline.gate.measuring import Measurement, pair_starter
from pytest_pipeline.gate.options import AGAINST, MERGE_BASE, OWN_OPTIONS, GateSettings
from pytest_pipeline.gate.outcome import Conditions, GateResult, gate_result
from pytest_pipeline.gate.revisions import Repository
from pytest_pipeline.gate.summary import check_summary, write_summary
from pytest_pipeline.gate.text import terminal_lines
from pytest_pipeline.measure.machine import this_machine


def run_gate(settings: GateSettings, arguments: Sequence[str], folder: Path) -> int:
    """Run the gate, and return the exit code for pytest.

    Progress and verdicts go to standard output. An error that prevents a verdict is one
    line on standard error.

    Args:
        settings: The gate's settings.
        arguments: The command line of pytest.
        folder: The folder in which pytest was started.
    """
    try:
        with _ended_in_order():
            if settings.summary is not None:
                check_summary(folder / settings.summary)
            found = _gate(settings, arguments, folder, _print)
            written = (
                write_summary(found, folder / settings.summary)
                if settings.summary is not None
                else ()
            )
            for line in terminal_lines(found):
                _print(line)
            if written:
                _print(f"written: {', '.join(map(str, written))}")
    except PipelineError as error:
        sys.stderr.write(f"gate: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("gate: interrupted\n")
        return pytest.ExitCode.INTERRUPTED
    return found.exit_code


def _gate(
    settings: GateSettings,
    arguments: Sequence[str],
    folder: Path,
    say: Callable[[str], None],
) -> GateResult:
    began = time.perf_counter()
    when = datetime.now(UTC).isoformat(timespec="seconds")
    repository = Repository(folder)
    below = folder.resolve().relative_to(repository.top.resolve())
    chosen = chosen_arguments(settings, arguments, repository.top, folder)
    with ExitStack() as stack:
        scratch = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="pipeline-gate-"))
        ).resolve()
        revisions = repository.old(settings.against), repository.new(scratch)
        say(f"gate: old is {revisions[0].name}, new is {revisions[1].name}")
        builds = []
        # "old" and "new" are equally long: the length of a path shifts memory.
        for which, revision in zip(("old", "new"), revisions, strict=True):
            checkout = scratch / which
            stack.enter_context(repository.checked_out(revision, checkout))
            # A revision that lacks this folder has no benchmarks in it.
            (checkout / below).mkdir(parents=True, exist_ok=True)
            builds.append(
                SideBuild(
                    f"{which} revision, {revision.name}",
                    checkout,
                    scratch / f"{which}-environment",
                    scratch / f"{which}-build.log",
                )
            )
        environs = build_environments(builds, settings.install)
        say(f"gate: both are built after {time.perf_counter() - began:.0f} s")
        old, new = (
            side_of(build, environ, below)
            for build, environ in zip(builds, environs, strict=True)
        )
        old_versions, new_versions = map(versions_in, builds)
        conditions = Conditions(
            machine=this_machine(),
            when=when,
            old_versions=old_versions,
            new_versions=new_versions,
        )
        benchmarks = Measurement(
            pair_starter((old, new), chosen, scratch),
            threshold=settings.threshold,
            left_s=lambda: began + settings.budget - time.perf_counter(),
            say=lambda line: say(f"gate: {line}"),
        ).results()
        return gate_result(
            revisions[0].name,
            revisions[1].name,
            time.perf_counter() - began,
            conditions,
            benchmarks,
        )


def chosen_arguments(
    settings: GateSettings, arguments: Sequence[str], top: Path, folder: Path
) -> list[str]:
    """Return the arguments for the sides: no gate options, and relative paths."""
    chosen: list[str] = []
    words = iter(arguments)
    for word in words:
        if word.partition("=")[0] not in OWN_OPTIONS:
            # An empty word is an empty revision.
            chosen += [_within(word, top, folder)] if word else []
        elif "=" not in word and (word != AGAINST or settings.against != MERGE_BASE):
            # Skip the value of the option.
            next(words, None)
    return chosen


def _within(word: str, top: Path, folder: Path) -> str:
    path = Path(word.partition("::")[0])
    if not path.is_absolute() or not path.resolve().is_relative_to(top.resolve()):
        return word
    return os.path.relpath(path.resolve(), folder.resolve()) + word[len(str(path)) :]


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
