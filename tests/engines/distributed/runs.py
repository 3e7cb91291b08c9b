"""Runs that the distributed engine and the monolith are compared by."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from hypothesis import strategies as st

from pipeline.accounting import RunReport
from pipeline.batching import BatchLimits
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


@dataclass(frozen=True)
class Sizes:
    """How a file is cut into batches and parts, and how many parts are on their way."""

    batch_records: int
    batch_bytes: int
    max_records: int
    block_bytes: int
    part_bytes: int
    window: int

    def applied_to(self, run: RunSettings) -> RunSettings:
        """Return the run with all but the window."""
        return replace(
            run,
            workload=cut_small(run.workload, self.block_bytes, self.part_bytes),
            limits=BatchLimits(self.batch_records, self.batch_bytes),
            max_records=self.max_records,
        )


def sizes() -> st.SearchStrategy[Sizes]:
    """Sizes that cut a file of some lines in every way."""
    return st.builds(
        Sizes,
        batch_records=st.integers(1, 25),
        batch_bytes=st.integers(1, 400) | st.just(1 << 20),
        max_records=st.integers(0, 25),
        block_bytes=st.integers(1, 300),
        part_bytes=st.integers(1, 1000),
        window=st.integers(1, 5),
    )


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
