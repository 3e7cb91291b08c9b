"""Describe a failure: what differs, for which stream, and how to repeat it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from pytest_pipeline.invariance.partitioned_stream import PartitionedStream
from pytest_pipeline.invariance.whole_data import Source, WholeFailure
from pytest_pipeline.records.cuts import Cut

# A longer stream is shown in part.
_MOST_LINES = 12
# A longer word is no line to paste.
_MOST_CHARACTERS = 2000


def stream_report(
    partitioned: PartitionedStream, finding: str, prop: str, stage: str
) -> str:
    """Return the report on one stream."""
    workload = partitioned.workload.name
    where = f"workload {workload}" + (f", stage {stage}" if stage else "")
    sizes = ",".join(map(str, partitioned.partition))
    said = [
        f"{where}: {finding}",
        f"the smallest stream, of {len(partitioned.stream):,} records:",
        *_lines(partitioned),
        f"cut after: {sizes or 'nothing, it is one batch'}",
    ]
    encoded = partitioned.stream.encode()
    if len(encoded) <= _MOST_CHARACTERS:
        command = _command(workload, prop, stage)
        command += ["--partition", sizes] if sizes else []
        said += ["to see it again:", f"  {shlex.join([*command, '--stream', encoded])}"]
    return "\n".join(said)


def whole_report(
    failure: WholeFailure, source: Source, prop: str, stage: str
) -> list[str]:
    """Return the lines on the whole data: the cuts that differ, and where."""
    command = _command(source.workload.name, prop, stage)
    if source.data is not None:
        command += ["--data", source.name or "DATA"]
    said = f"{failure.long.name}: not the same cut at {_names(failure.errors)}"
    if failure.held:
        said += f"; the same cut at {_names(failure.held)}"
    finding = str(failure.errors[failure.cut]).splitlines()
    return [
        said,
        f"  cut at {failure.cut.name}: {finding[0]}",
        *(f"  {line}" for line in finding[1:]),
        "  to see that again:",
        f"    {shlex.join([*command, '--cut', failure.cut.name])}",
    ]


def _command(workload: str, prop: str, stage: str) -> list[str]:
    command = ["python", "-m", "pytest_pipeline.invariance", workload]
    command += ["--property", prop]
    return command + (["--stage", stage] if stage else [])


def _names(cuts: Iterable[Cut]) -> str:
    return ", ".join(cut.name for cut in cuts)


def _lines(partitioned: PartitionedStream) -> list[str]:
    lines = str(partitioned.stream).splitlines()
    more = len(lines) - _MOST_LINES
    if more > 0:
        lines[_MOST_LINES:] = [f"… and {more:,} more"]
    return [f"  {line}" for line in lines]
