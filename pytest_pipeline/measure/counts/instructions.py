"""Count the instructions that a call of a stage function executes.

On a shared machine this is far steadier than time. It is not exact, and counts are
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
from pytest_pipeline.measure.counts.baseline import Instructions
from pytest_pipeline.measure.counts.traffic import WELL_FORMED
from pytest_pipeline.measure.dataset import Dataset

#: Records in the batch of a call.
RECORDS = WELL_FORMED

# Python specialises the bytecode of a function in its first calls.
_WARM_UP_CALLS = 20
_CALLS = 100
_TIMEOUT_S = 300.0

_LIBRARIES = ("msgspec", "numpy", "protobuf")


@dataclass(frozen=True)
class InstructionCounter:
    """A program that runs a command and prints how many instructions it executed."""

    name: str
    command: tuple[str, ...]
    #: Finds the count in what the program prints on standard error.
    pattern: re.Pattern[str]

    def count(self, command: Sequence[str]) -> int:
        """Run a command and return how many instructions it executed.

        Raises:
            PipelineError: The command fails, or nothing was counted.
        """
        done = subprocess.run(  # noqa: S603 - it is this Python, under the counter
            [*self.command, *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_S,
            # With a random hash seed, sets and dictionaries would vary between runs.
            env={**os.environ, "PYTHONHASHSEED": "0", "LC_ALL": "C"},
        )
        found = self.pattern.search(done.stderr)
        if done.returncode or found is None:
            last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
            raise PipelineError(f"{self.name} has counted no instructions: {last}")
        return int(found[1].replace(",", ""))


VALGRIND = InstructionCounter(
    "valgrind",
    (
        *("valgrind", "--tool=cachegrind", "--cache-sim=no"),
        "--cachegrind-out-file=/dev/null",
    ),
    re.compile(r"I\s+refs:\s+([\d,]+)"),
)
PERF = InstructionCounter(
    "perf",
    ("perf", "stat", "-x", ";", "-e", "instructions:u", "--"),
    re.compile(r"^(\d+);", re.MULTILINE),
)


@cache
def counter_here() -> InstructionCounter | None:
    """Return a counter that works on this machine; None if there is none."""
    for counter in (VALGRIND, PERF):
        if shutil.which(counter.command[0]):
            try:
                counter.count([sys.executable, "-c", ""])
            except PipelineError:
                # Such as perf in a virtual machine without hardware counters.
                continue
            return counter
    return None


def fingerprint(counter: InstructionCounter) -> dict[str, str]:
    """Return what must be equal for counts to be comparable; see `Instructions`."""
    return {
        "architecture": platform.machine(),
        "counter": counter.name,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "protobuf implementation": api_implementation.Type(),
        **{name: version(name) for name in _LIBRARIES},
    }


def call_name(workload: str, stage: str) -> str:
    """Return the name of a call in the baseline file."""
    return f"{workload}: a call of {stage} with {RECORDS} records"


def count_instructions(
    dataset: Dataset, folder: Path, counter: InstructionCounter
) -> Instructions:
    """Count the instructions of a call of each stage function of a workload.

    Args:
        dataset: Of the workload; see `counted_dataset`.
        folder: An empty folder for the messages that the stages are given.
        counter: Counts the instructions of a process.

    Raises:
        PipelineError: A run fails.
    """
    per_call = instructions_per_call(
        dataset.workload, first_messages(dataset), folder, counter.count
    )
    name = dataset.workload.name
    return Instructions(
        fingerprint(counter),
        {call_name(name, stage): count for stage, count in per_call.items()},
    )


def first_messages(dataset: Dataset) -> dict[str, bytes]:
    """Return the message of the first batch for each transform stage, serialized.

    The batch has `RECORDS` records.
    """
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


def instructions_per_call(
    workload: Workload,
    messages: Mapping[str, bytes],
    folder: Path,
    count: Callable[[Sequence[str]], int],
) -> dict[str, int]:
    """Return the instructions of one call of each stage function, by stage.

    The count of a stage is the difference of two processes that differ only in how
    often they call it, so that it does not include the start of Python.

    Args:
        workload: Has the stage functions; processes find it by its name.
        messages: The serialized message that each stage is given.
        folder: An empty folder, to pass the messages in.
        count: Runs a command and returns its instructions.

    Raises:
        PipelineError: A run fails.
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
