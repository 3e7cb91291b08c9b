"""What peers of the split share: batches in, stages, batches out.

A peer is another library with the same stage functions. Its runs count their records,
check the counts of each stage, and write rejects in order. They don't measure the time
of each stage, and their errors don't name the batch in which a stage function failed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Self

from pipeline.accounting import RunAccount, RunReport
from pipeline.batching import BatchLimits
from pipeline.clock import ProcessClock
from pipeline.engines.base import RunSettings, check_counts, check_end
from pipeline.errors import UsageError
from pipeline.inputs import Inputs
from pipeline.publishing import Draft
from pipeline.rejects import RejectsFile
from pipeline.result import ResultWriter
from pipeline.stages import INGEST, Stage
from pipeline.v1.pipeline_pb2 import Rejection
from pytest_pipeline.measure.references.pipes import QueuedBatch


def fixed_limits(settings: RunSettings) -> BatchLimits:
    """Return when batches are cut; raise UsageError at batch size auto.

    Only the split and the monolith choose the size of batches themselves.
    """
    if settings.limits is None:
        raise UsageError("batch size auto: a peer needs a number of records")
    return settings.limits


def batches_of(settings: RunSettings) -> Iterator[QueuedBatch]:
    """Yield the batches of a run's source; raise UsageError at batch size auto."""
    first = 1
    outputs = settings.workload.source.read(
        settings.source, fixed_limits(settings), settings.max_records, Inputs()
    )
    for number, output in enumerate(outputs):
        rejected = [(INGEST, each.SerializeToString()) for each in output.rejections]
        given = output.records + output.filtered + len(rejected)
        message = output.message.SerializeToString()
        records, filtered = output.records, output.filtered
        yield number, first, given, message, records, filtered, tuple(rejected)
        first += given


def applied(stage: Stage[Any, Any], batch: QueuedBatch) -> QueuedBatch:
    """Return the batch that a stage makes of another.

    Raises:
        ContractError: The stage has not accounted for every record.
    """
    number, first, ingested, message, given, filtered, rejections = batch
    output = stage(stage.takes.FromString(message))
    rejected = tuple(
        (stage.name, each.SerializeToString()) for each in output.rejections
    )
    check_counts(
        stage.name,
        number,
        given=given,
        records=output.records,
        filtered=output.filtered,
        rejected=len(rejected),
    )
    message = output.message.SerializeToString()
    filtered += output.filtered
    rejections += rejected
    return number, first, ingested, message, output.records, filtered, rejections


class PeerRun:
    """The result and the account of one run; discards both unless `publish` is called.

    Use it in a ``with`` statement.
    """

    def __init__(self, settings: RunSettings) -> None:
        self._settings = settings
        self._stack = ExitStack()
        self._cpu, self._began = ProcessClock(), time.perf_counter()

    def __enter__(self) -> Self:
        """Open the drafts; raise SinkError if they can't be written."""
        settings = self._settings
        with ExitStack() as stack:
            output = stack.enter_context(Draft(settings.output))
            self._rejects = None
            if settings.rejects is not None:
                self._rejects = stack.enter_context(
                    RejectsFile(settings.rejects, settings.output)
                )
            self._stack = stack.pop_all()
        self._account = RunAccount(settings.workload.stage_names, self._rejects)
        self._result = ResultWriter(settings.workload.new_result(), output)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, batch: QueuedBatch) -> None:
        """Add the next batch, in order."""
        _, _, ingested, message, records, filtered, named = batch
        self._account.ingest(ingested)
        self._result.add(self._settings.workload.result_takes.FromString(message))
        rejections = [(stage, Rejection.FromString(each)) for stage, each in named]
        self._account.settle(records, filtered, rejections)

    def publish(self, engine: str, startup_s: float = 0.0) -> RunReport:
        """Check the account, publish the result and the rejects, and return the report.

        Raises:
            PipelineError: There were no records, some were lost, or the files can't be
                written.
        """
        check_end(self._account, self._settings)
        if self._rejects is not None:
            self._rejects.prepare()
        self._result.commit(self._account.batches, self._account.passed)
        if self._rejects is not None:
            self._rejects.publish()
        return self._account.report(
            workload=self._settings.workload.name,
            engine=engine,
            batch_size=self._settings.batch_size,
            elapsed_s=time.perf_counter() - self._began,
            startup_s=startup_s,
            cpu_s=self._cpu.lap() / 1e9,
            one_process=True,
        )
