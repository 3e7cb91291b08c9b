"""The stage processes of `QueuesEngine`, and the messages between them."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any, NoReturn, cast

from google.protobuf.message import Message

from pipeline.accounting import RejectsFile, RunAccount, RunReport
from pipeline.batching import BatchLimits
from pipeline.clock import ProcessClock, Stopwatch, peak_rss_bytes
from pipeline.engines.base import check_counts, check_not_empty
from pipeline.errors import (
    FunctionError,
    PipelineError,
    Place,
    raised,
    user_traceback,
)
from pipeline.inputs import Inputs
from pipeline.publishing import Draft
from pipeline.result import ResultWriter
from pipeline.stages import INGEST, SINK, Stage
from pipeline.transport.environment import configure_process
from pipeline.v1.pipeline_pb2 import Rejection, Timing
from pipeline.workload import Workload
from pipeline.workloads import workload_named


@dataclass(frozen=True, slots=True)
class Greeting:
    """A message that passes all stages; it comes out once all of them have started."""


@dataclass(frozen=True, slots=True)
class Job:
    """The order for one run; it passes all stages ahead of the batches."""

    source: Message
    limits: BatchLimits
    max_records: int
    output: Path
    rejects: Path | None


@dataclass(slots=True)
class QueuedBatch:
    """A batch in a queue, with the counts and rejections of the stages so far."""

    number: int
    first_record: int
    ingested: int
    message: Message
    records: int
    filtered: int
    rejections: list[tuple[str, Rejection]]


@dataclass(frozen=True, slots=True)
class End:
    """The end of a run, with the time that each stage so far spent on it."""

    spent: dict[str, Timing] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failure:
    """The failure of a run; its parts, since not every exception can be pickled."""

    kind: type[PipelineError]
    message: str
    traceback: str = ""

    @classmethod
    def of(cls, error: Exception, place: Place) -> Failure:
        """Return the failure for ``error``, which was raised at ``place``."""
        if isinstance(error, PipelineError):
            return cls(type(error), str(error))
        message = f"{place}: {raised(error)}"
        return cls(FunctionError, message, user_traceback(error))

    @property
    def error(self) -> PipelineError:
        """The error to raise."""
        if self.kind is FunctionError:
            return FunctionError(self.message, self.traceback)
        return self.kind(self.message)


def serve(
    workload_name: str,
    stage: str,
    inbox: Connection | Queue[Any],
    outbox: Queue[Any] | Connection,
) -> None:
    """Serve one stage in run after run, until the inbox ends.

    Args:
        workload_name: The workload, as `workload_named` finds it.
        stage: The stage of this process.
        inbox: Of ingest a connection, of all others a queue.
        outbox: Of the sink a connection, of all others a queue.
    """
    # The engine handles Ctrl-C, and then ends its processes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    configure_process()
    workload = workload_named(workload_name)
    if stage == INGEST:
        _ingest(workload, cast("Connection", inbox), cast("Queue[Any]", outbox))
    elif stage == SINK:
        _sink(workload, cast("Queue[Any]", inbox), cast("Connection", outbox))
    else:
        queues = cast("Queue[Any]", inbox), cast("Queue[Any]", outbox)
        _transform(workload.transform(stage), *queues)


def _end_with_parent() -> None:
    """Terminate this process as soon as the engine's process has ended."""
    if (parent := parent_process()) is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


def _ingest(workload: Workload, jobs: Connection, outbox: Queue[Any]) -> None:
    while True:
        try:
            job = jobs.recv()
        except EOFError:
            outbox.put(None)
            return
        outbox.put(job)
        if isinstance(job, Job):
            _read(workload, job, outbox)


def _read(workload: Workload, job: Job, outbox: Queue[Any]) -> None:
    """Send the batches of a run, then its end or its failure."""
    __tracebackhide__ = True
    spent, place, ingested = _Spent(), Place(INGEST), 0
    try:
        outputs = workload.source.read(
            job.source, job.limits, job.max_records, Inputs()
        )
        for number, output in enumerate(outputs):
            spent.lap("process")
            given = output.records + output.filtered + len(output.rejections)
            batch = QueuedBatch(
                number,
                ingested + 1,
                given,
                output.message,
                output.records,
                output.filtered,
                [(INGEST, rejection) for rejection in output.rejections],
            )
            outbox.put(batch)
            ingested += given
            spent.lap("send")
    except Exception as error:
        outbox.put(Failure.of(error, place))
    else:
        outbox.put(End({INGEST: spent.timing()}))


def _transform(stage: Stage[Any, Any], inbox: Queue[Any], outbox: Queue[Any]) -> None:
    spent = _Spent()
    while (item := inbox.get()) is not None:
        spent.lap("wait")
        if isinstance(item, QueuedBatch):
            item = _apply(stage, item)
            spent.lap("process")
        elif isinstance(item, Job):
            spent = _Spent()
        elif isinstance(item, End):
            item.spent[stage.name] = spent.timing()
        outbox.put(item)
        spent.lap("send")
    outbox.put(None)


def _apply(stage: Stage[Any, Any], batch: QueuedBatch) -> QueuedBatch | Failure:
    """Return the batch that the stage returns, or its failure."""
    __tracebackhide__ = True
    try:
        output = stage(batch.message)
        check_counts(
            stage.name,
            batch.number,
            given=batch.records,
            records=output.records,
            filtered=output.filtered,
            rejected=len(output.rejections),
        )
    except Exception as error:
        return Failure.of(error, Place(stage.name, batch.number, batch.first_record))
    batch.message, batch.records = output.message, output.records
    batch.filtered += output.filtered
    batch.rejections += [(stage.name, rejection) for rejection in output.rejections]
    return batch


def _sink(workload: Workload, inbox: Queue[Any], answers: Connection) -> None:
    # SystemExit discards the drafts; no other stage has anything to clean up.
    signal.signal(signal.SIGTERM, _exit)
    while (item := inbox.get()) is not None:
        answer = _write(workload, item, inbox) if isinstance(item, Job) else item
        answers.send(answer)
        if isinstance(answer, Failure):
            return


def _exit(*_: object) -> NoReturn:
    raise SystemExit


def _write(workload: Workload, job: Job, inbox: Queue[Any]) -> RunReport | Failure:
    """Write the result of a run, and return its report or its failure.

    The engine adds its name, the elapsed time and its own CPU time to the report.
    """
    __tracebackhide__ = True
    place, spent = Place(SINK), _Spent()
    try:
        with ExitStack() as stack:
            output = stack.enter_context(Draft(job.output))
            rejects = None
            if job.rejects is not None:
                rejects = RejectsFile(job.rejects)
                stack.enter_context(rejects.draft)
            account = RunAccount(workload.stage_names, rejects)
            result = ResultWriter(workload.new_result(), output)
            while isinstance(item := inbox.get(), QueuedBatch):
                spent.lap("wait")
                place.batch, place.first_record = item.number, item.first_record
                account.ingest(item.ingested)
                result.add(item.message)
                account.settle(item.records, item.filtered, item.rejections)
                spent.lap("process")
            if isinstance(item, Failure):
                return item
            place.batch = None
            check_not_empty(account)
            account.check_conservation()
            if rejects is not None:
                rejects.draft.seal()
            result.commit(account.batches, account.passed)
            if rejects is not None:
                rejects.draft.publish()
    except Exception as error:
        return Failure.of(error, place)
    spent.lap("process")
    for name, timing in {**item.spent, SINK: spent.timing()}.items():
        account.stages[name].spend(timing)
    return account.report(
        workload=workload.name,
        engine="",
        batch_size=job.limits.records,
        elapsed_s=0.0,
        startup_s=0.0,
        cpu_s=0.0,
        one_process=False,
    )


class _Spent:
    """The time that a stage spends in each phase of a run.

    Decoding counts as waiting, since a queue does both in ``get``. Encoding counts in
    no phase, but in the CPU of the process, since a thread of the queue does it.
    """

    def __init__(self) -> None:
        self._watch = Stopwatch()
        self._cpu = ProcessClock()
        self._wall_ns: Counter[str] = Counter()
        self._cpu_ns: Counter[str] = Counter()

    def lap(self, phase: str) -> None:
        """Add the time since the last lap to a phase."""
        lap = self._watch.lap()
        self._wall_ns[phase] += lap.wall
        self._cpu_ns[phase] += lap.cpu

    def timing(self) -> Timing:
        """Return the times so far."""
        wall, cpu = self._wall_ns, self._cpu_ns
        return Timing(
            wait_ns=wall["wait"],
            wait_cpu_ns=cpu["wait"],
            process_ns=wall["process"],
            process_cpu_ns=cpu["process"],
            send_ns=wall["send"],
            send_cpu_ns=cpu["send"],
            process_total_cpu_ns=self._cpu.lap(),
            peak_rss_bytes=peak_rss_bytes(),
        )
