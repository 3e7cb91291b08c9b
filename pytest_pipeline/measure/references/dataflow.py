"""A peer: Bytewax, with the stages as steps of one dataflow in this process.

It leaves out what `peers` says, and passes batches between steps without serialising
them for another process: there is only one. Importing the module needs bytewax.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main

from pipeline.accounting import RunReport
from pipeline.engines.base import RunSettings
from pipeline.errors import PipelineError, StageError, one_line
from pytest_pipeline.measure.references.peers import PeerRun, applied, batches_of
from pytest_pipeline.measure.references.pipes import QueuedBatch

# Batches that the source hands to the dataflow at a time, as many as the split has in
# flight at a stage.
_BATCHES = 64


class BytewaxEngine:
    """Runs a workload as a dataflow of one worker."""

    name = "bytewax"

    def run(self, settings: RunSettings) -> RunReport:
        """Run to the end; see `Engine.run`.

        Raises:
            PipelineError: The run fails; StageError if a stage function raises.
        """
        with PeerRun(settings) as run:
            flow = Dataflow("stages")
            stream = op.input("ingest", flow, _Source(batches_of(settings)))
            for stage in settings.workload.transforms:
                stream = op.map(stage.name, stream, partial(applied, stage))
            op.output("sink", stream, _Sink(run))
            with _as_pipeline_errors():
                run_main(flow)
            report = run.publish(self.name)
        settings.on_progress(report.records.ingested)
        return report


@contextmanager
def _as_pipeline_errors() -> Iterator[None]:
    """Raise the cause of an error of Bytewax, which says only in which step it was."""
    try:
        yield
    except BytewaxRuntimeError as error:
        cause: BaseException = error
        while cause.__cause__ is not None and not isinstance(cause, PipelineError):
            cause = cause.__cause__
        if isinstance(cause, PipelineError):
            raise cause from None
        raise StageError(f"Bytewax: {one_line(cause)}") from error


class _Source(DynamicSource, StatelessSourcePartition):
    """The batches of a run, for a single worker."""

    def __init__(self, batches: Iterator[QueuedBatch]) -> None:
        self._batches = batches

    def build(self, *_: object) -> _Source:
        return self

    def next_batch(self) -> list[QueuedBatch]:
        batches = list(islice(self._batches, _BATCHES))
        if not batches:
            raise StopIteration
        return batches


class _Sink(DynamicSink, StatelessSinkPartition):
    """The result of a run, for a single worker."""

    def __init__(self, run: PeerRun) -> None:
        self._run = run

    def build(self, *_: object) -> _Sink:
        return self

    def write_batch(self, items: list[QueuedBatch]) -> None:
        for batch in items:
            self._run.add(batch)
