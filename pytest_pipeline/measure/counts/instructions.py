"""How many instructions a call of a stage function executes.

It is by far steadier than time on a shared machine, but it is not exact, and it is
comparable only for the same Python, architecture and libraries.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from google.protobuf.internal import api_implementation

from pipeline.batching import BatchLimits
from pipeline.errors import PipelineError
from pipeline.inputs import Inputs
from pipeline.workload import Workload
from pytest_pipeline.measure.counts.crossings import FINE
from pytest_pipeline.measure.dataset import Dataset

#: Records in the batch of a call.
RECORDS = FINE

# Python makes a function quick in its first calls; those that count are after them.
_WARM_UP_CALLS = 20
_CALLS = 100
_TIMEOUT_S = 300.0

_LIBRARIES = ("msgspec", "numpy", "protobuf")


@dataclass(frozen=True)
class Counter:
    """A program that runs another and says how many instructions it executed."""

    name: str
    command: tuple[str, ...]
    #: What it says at the end, on standard error.
    says: re.Pattern[str]

    def count(self, command: Sequence[str]) -> int:
        """Run a command; raise PipelineError where it fails, or nothing is counted."""
        done = subprocess.run(  # noqa: S603 - it is this Python, under the counter
            [*self.command, *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_S,
            # Without a fixed seed, sets and dictionaries are another each time.
            env={**os.environ, "PYTHONHASHSEED": "0", "LC_ALL": "C"},
        )
        found = self.says.search(done.stderr)
        if done.returncode or found is None:
            last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
            raise PipelineError(f"{self.name} has counted no instructions: {last}")
        return int(found[1].replace(",", ""))


VALGRIND = Counter(
    "valgrind",
    (
        *("valgrind", "--tool=cachegrind", "--cache-sim=no"),
        "--cachegrind-out-file=/dev/null",
    ),
    re.compile(r"I\s+refs:\s+([\d,]+)"),
)
PERF = Counter(
    "perf",
    ("perf", "stat", "-x", ";", "-e", "instructions:u", "--"),
    re.compile(r"^(\d+);", re.MULTILINE),
)


@cache
def counter_here() -> Counter | None:
    """Return what counts instructions on this machine; None where nothing does."""
    for counter in (VALGRIND, PERF):
        if shutil.which(counter.command[0]):
            try:
                counter.count([sys.executable, "-c", ""])
            except PipelineError:
                # Such as perf in a virtual machine without the counters.
                continue
            return counter
    return None


def fingerprint(counter: Counter) -> dict[str, str]:
    """Return what counts are comparable by."""
    return {
        "architecture": platform.machine(),
        "counter": counter.name,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "protobuf implementation": api_implementation.Type(),
        **{name: version(name) for name in _LIBRARIES},
    }


def first_messages(dataset: Dataset) -> dict[str, bytes]:
    """Return what each stage is given of the first batch, of `RECORDS` records."""
    workload = dataset.workload
    output = next(
        workload.source.read(
            dataset.source(RECORDS), BatchLimits(RECORDS), RECORDS, Inputs()
        )
    )
    messages = {}
    for stage in workload.transforms:
        messages[stage.name] = output.message.SerializeToString()
        output = stage(output.message)
    return messages


def instructions_of(
    workload: Workload,
    messages: Mapping[str, bytes],
    folder: Path,
    count: Callable[[Sequence[str]], int],
) -> dict[str, int]:
    """Return the instructions of one call of each stage function, by its stage.

    ``messages`` has what each stage is given, which is kept in ``folder``; ``count``
    is that of a `Counter`. What it takes to start Python is in none of them: the runs
    differ in calls only. Raises PipelineError where a run fails.
    """
    for name, message in messages.items():
        (folder / name).write_bytes(message)

    def counted(measured: str = "") -> int:
        calls = dict.fromkeys(messages, _WARM_UP_CALLS)
        if measured:
            calls[measured] += _CALLS
        return count(
            [
                *(sys.executable, "-m", "pytest_pipeline.measure.counts.calls"),
                *(workload.name, str(folder)),
                *(f"{name}={number}" for name, number in calls.items()),
            ]
        )

    # The first run may have to compile modules.
    counted()
    start = counted()
    return {name: (counted(name) - start) // _CALLS for name in messages}
