"""The stage processes of `QueuesEngine`, and the messages between them."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from google.protobuf.message import Message

from pipeline.accounting import RunAccount, RunReport
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
from pipeline.rejects import RejectsFile
from pipeline.result import ResultWriter
from pipeline.stages import INGEST, SINK, Stage, check_output
from pipeline.transport.environment import configure_process
from pipeline.v1.pipeline_pb2 import Rejection, Timing
from pipeline.workload import Workload
from pipeline.workloads import workload_named
from pytest_pipeline.measure.references.pipes import receiver, sender

Send: TypeAlias = Callable[[Any], None]
Receive: TypeAlias = Callable[[], Any]


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
    workload_name: str, stage: str, inbox: Connection, outbox: Connection
) -> None:
    """Serve one stage in run after run, until ingest's inbox ends.

    Args:
        workload_name: The workload, as `workload_named` finds it.
        stage: The stage of this process.
        inbox: Of ingest the engine's connection, of all others a `bounded_pipe`.
        outbox: Of the sink the engine's connection, of all others a `bounded_pipe`.
    """
    # The engine handles Ctrl-C, and then ends its processes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    configure_process()
    workload = workload_named(workload_name)
    if stage == INGEST:
        _ingest(workload, inbox, sender(outbox))
    elif stage == SINK:
        _sink(workload, receiver(inbox), outbox)
    else:
        _transform(workload.transform(stage), receiver(inbox), sender(outbox))


def _end_with_parent() -> None:
    """Terminate this process as soon as the engine's process has ended."""
    if (parent := parent_process()) is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


def _ingest(workload: Workload, jobs: Connection, send: Send) -> None:
    while True:
        try:
            job = jobs.recv()
        except EOFError:
            send(None)
            return
        send(job)
        if isinstance(job, Job):
            send(_read(workload, job, send))


def _read(workload: Workload, job: Job, send: Send) -> End | Failure:
    """Send the batches of a run, and return its end or its failure."""
    __tracebackhide__ = True
    spent, place, ingested = _Spent(), Place(INGEST), 0
    source, timed = workload.source, True
    try:
        outputs = source.read(job.source, job.limits, job.max_records, Inputs())
        for number, output in enumerate(outputs):
            check_output(output, source.returns)
            if timed:
                spent.lap("process", number)
            given = output.records + output.filtered + len(output.rejections)
            send(
                (
                    number,
                    ingested + 1,
                    given,
                    output.message.SerializeToString(),
                    output.records,
                    output.filtered,
                    _named(INGEST, output.rejections) if output.rejections else (),
                )
            )
            ingested += given
            if timed:
                spent.lap("send", number)
            if timed := _is_timed(number + 1):
                spent.start()
    except Exception as error:
        return Failure.of(error, place)
    return End({INGEST: spent.timing()})


def _transform(stage: Stage[Any, Any], receive: Receive, send: Send) -> None:
    __tracebackhide__ = True
    spent, decode = _Spent(), stage.takes.FromString
    while (item := receive()) is not None:
        if type(item) is not tuple:
            if isinstance(item, End):
                item.spent[stage.name] = spent.timing()
            spent = _Spent()
            send(item)
            continue
        number, first_record, ingested, data, given, filtered, rejections = item
        try:
            message = decode(data)
            if timed := _is_timed(number):
                spent.start()
            output = stage(message)
            records, left_out = output.records, output.filtered
            rejected = output.rejections
            # Compared here, because the call takes longer than the comparison.
            if records + left_out + len(rejected) != given:
                check_counts(
                    stage.name,
                    number,
                    given=given,
                    records=records,
                    filtered=left_out,
                    rejected=len(rejected),
                )
            if timed:
                spent.lap("process", number)
            data = output.message.SerializeToString()
        except Exception as error:
            send(Failure.of(error, Place(stage.name, number, first_record)))
            continue
        if rejected:
            rejections += _named(stage.name, rejected)
        filtered += left_out
        send((number, first_record, ingested, data, records, filtered, rejections))
        if timed:
            spent.lap("send", number)
    send(None)


def _named(
    stage: str, rejections: Sequence[Rejection]
) -> tuple[tuple[str, bytes], ...]:
    """Return rejections as they are queued."""
    return tuple((stage, rejection.SerializeToString()) for rejection in rejections)


def _rejections(named: Sequence[tuple[str, bytes]]) -> list[tuple[str, Rejection]]:
    """Return queued rejections as they were."""
    return [(stage, Rejection.FromString(data)) for stage, data in named]


def _sink(workload: Workload, receive: Receive, answers: Connection) -> None:
    # SystemExit discards the drafts; no other stage has anything to clean up.
    signal.signal(signal.SIGTERM, _exit)
    while (item := receive()) is not None:
        answer = _write(workload, item, receive) if isinstance(item, Job) else item
        answers.send(answer)
        if isinstance(answer, Failure):
            return


def _exit(*_: object) -> NoReturn:
    raise SystemExit


def _write(workload: Workload, job: Job, receive: Receive) -> RunReport | Failure:
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
                rejects = stack.enter_context(RejectsFile(job.rejects, job.output))
            account = RunAccount(workload.stage_names, rejects)
            result = ResultWriter(workload.new_result(), output)
            decode = workload.result_takes.FromString
            while type(item := receive()) is tuple:
                number, first, ingested, data, records, filtered, named = item
                place.batch, place.first_record = number, first
                message = decode(data)
                if timed := _is_timed(number):
                    spent.start()
                account.ingest(ingested)
                result.add(message)
                account.settle(records, filtered, _rejections(named) if named else ())
                if timed:
                    spent.lap("process", number)
            if isinstance(item, Failure):
                return item
            place.batch = None
            spent.start()
            check_not_empty(account)
            account.check_conservation()
            if rejects is not None:
                rejects.prepare()
            result.commit(account.batches, account.passed)
            if rejects is not None:
                rejects.publish()
    except Exception as error:
        return Failure.of(error, place)
    spent.lap("process", 0)
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


# Reading both clocks at each step would take 2 µs, and a stage about 10 µs for a batch
# of one record. So the first batches are timed, and then one of so many.
_TIMED_FIRST = 32
_TIMED_EVERY = 16


def _is_timed(number: int) -> bool:
    """Return whether the batch of that number is timed."""
    return number < _TIMED_FIRST or number % _TIMED_EVERY == 0


class _Spent:
    """The time that a stage spends in each phase of a run.

    It is estimated from the batches that are timed. Encoding counts as sending. Waiting
    is the rest, and has receiving and decoding in it.
    """

    def __init__(self) -> None:
        self._run, self._watch = Stopwatch(), Stopwatch()
        self._cpu = ProcessClock()
        self._wall_ns: Counter[str] = Counter()
        self._cpu_ns: Counter[str] = Counter()

    def start(self) -> None:
        """Start the first phase of a batch that is timed."""
        self._watch.lap()

    def lap(self, phase: str, number: int) -> None:
        """End a phase of a batch, for all batches that it stands for."""
        lap = self._watch.lap()
        weight = 1 if number < _TIMED_FIRST else _TIMED_EVERY
        self._wall_ns[phase] += weight * lap.wall
        self._cpu_ns[phase] += weight * lap.cpu

    def timing(self) -> Timing:
        """Return the times so far."""
        run, wall, cpu = self._run.lap(), self._wall_ns, self._cpu_ns
        # The estimates can exceed what they are part of.
        process_cpu_ns = min(cpu["process"], run.cpu)
        send_cpu_ns = min(cpu["send"], run.cpu - process_cpu_ns)
        return Timing(
            wait_ns=max(0, run.wall - wall.total()),
            wait_cpu_ns=run.cpu - process_cpu_ns - send_cpu_ns,
            process_ns=wall["process"],
            process_cpu_ns=process_cpu_ns,
            send_ns=wall["send"],
            send_cpu_ns=send_cpu_ns,
            process_total_cpu_ns=self._cpu.lap(),
            peak_rss_bytes=peak_rss_bytes(),
        )
