"""Runs that the distributed engine and the monolith are compared by."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

from pipeline.accounting import RunReport
from pipeline.engines.base import Engine, RunSettings
from pipeline.engines.distributed.engine import DistributedEngine
from pipeline.engines.distributed.executor import SerialExecutor
from pipeline.errors import PipelineError
from pipeline.source import Division
from pipeline.workload import Workload
from pipeline.workloads.line_parts import divide_lines, read_line_part
from pipeline.workloads.lines import read_lines

Outcome = tuple[bytes, bytes, Any] | str


def serial_engine(window: int = 4) -> DistributedEngine:
    """Return an engine that runs the parts in this process."""
    return DistributedEngine("serial", lambda: nullcontext(SerialExecutor()), window)


def cut_small(workload: Workload, block_bytes: int, part_bytes: int) -> Workload:
    """Return a workload of lines that is divided into parts of so few bytes."""
    divide = partial(divide_lines, block_bytes=block_bytes, part_bytes=part_bytes)
    division = Division(read_lines, divide, read_line_part)
    return replace(workload, source=replace(workload.source, division=division))


def outcome(engine: Engine, run: RunSettings) -> Outcome:
    """Return the result, the rejects and the counts of a run, or why it failed."""
    try:
        report = engine.run(run)
    except PipelineError as error:
        return f"{type(error).__name__}: {error}"
    assert run.rejects is not None
    return run.output.read_bytes(), run.rejects.read_bytes(), counts(report)


def counts(report: RunReport) -> Any:
    """Return what of a report must not depend on the engine."""
    return (
        *(report.workload, report.batches, report.batch_sizes),
        *(report.records, report.rejections),
    )
