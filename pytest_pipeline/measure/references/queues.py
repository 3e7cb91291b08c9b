"""The queues: what a user would write without gRPC, with the same stage functions.

Each stage, from ingest to sink, is a process. Batches pass between them through pipes,
which are the fastest bounded queues of the standard library.
"""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Self

import msgspec

from pipeline.accounting import RunReport
from pipeline.clock import ProcessClock, peak_rss_bytes
from pipeline.engines.base import RunSettings
from pipeline.errors import StageError, UsageError
from pipeline.inputs import STANDARD_INPUT
from pipeline.workload import Workload
from pytest_pipeline.measure.references.peers import fixed_limits
from pytest_pipeline.measure.references.pipes import bounded_pipe
from pytest_pipeline.measure.references.queue_stages import (
    Failure,
    Greeting,
    Job,
    serve,
)

# Without a run, a process ends in milliseconds.
_STOP_S = 5.0


class QueuesEngine:
    """Runs a workload on one process for each stage, with queues between them.

    Use it in a ``with`` statement, which starts and ends the processes, so that runs
    are measured without their start. A run that fails ends the processes too.

    Args:
        workload: What to run; its processes find it by its name.
        start_timeout_s: Seconds until all processes must have started.

    Raises:
        UsageError: The workload has no name.
    """

    name = "queues"

    def __init__(self, workload: Workload, start_timeout_s: float = 30.0) -> None:
        if not workload.name:
            raise UsageError(
                "the workload has no name for its processes to find it by; get it from "
                "workload_named, or name it package.module:name"
            )
        self._workload = workload
        self._start_timeout_s = start_timeout_s
        self._startup_s = 0.0
        self._processes: list[SpawnProcess] = []
        self._ends: list[Connection] = []

    @property
    def pids(self) -> dict[str, int | None]:
        """The process id of each stage; empty if the processes have ended."""
        return {process.name: process.pid for process in self._processes}

    def __enter__(self) -> Self:
        """Start the processes; raise StageError if one does not start."""
        began = time.perf_counter()
        context = get_context("spawn")
        names = self._workload.stage_names
        jobs, self._jobs = context.Pipe(duplex=False)
        self._answers, answers = context.Pipe(duplex=False)
        with ExitStack() as stack:
            stack.callback(self._stop, 0.0)
            pipes = [bounded_pipe(context) for _ in names[1:]]
            inboxes, outboxes = zip(*pipes, strict=True)
            # Kept open here, so that a process that ends leaves its neighbours waiting
            # and is found as the first that has ended.
            self._ends += [*inboxes, *outboxes]
            # A copy of these ends here would hide that a process has ended.
            with jobs, answers:
                for name, inbox, outbox in zip(
                    names, [jobs, *inboxes], [*outboxes, answers], strict=True
                ):
                    process = context.Process(
                        target=serve,
                        args=(self._workload.name, name, inbox, outbox),
                        name=name,
                        daemon=True,
                    )
                    process.start()
                    self._processes.append(process)
            self._ask(Greeting(), self._start_timeout_s)
            stack.pop_all()
        self._startup_s = time.perf_counter() - began
        return self

    def __exit__(self, *_: object) -> None:
        self._stop(_STOP_S)

    def run(self, settings: RunSettings) -> RunReport:
        """Run to the end; see `Engine.run`. Progress is reported at the end only.

        Raises:
            UsageError: The settings have another workload, no batch size, or read
                standard input, which the processes can't; or the processes have ended.
            PipelineError: The run fails.
        """
        if settings.workload.name != self._workload.name:
            raise UsageError(
                f"workload {settings.workload.name}: the queues were made for "
                f"{self._workload.name}"
            )
        if settings.input == STANDARD_INPUT:
            raise UsageError("standard input: the queues can't read it; give a file")
        limits = fixed_limits(settings)
        if not self._processes:
            raise UsageError(
                "the queues have no processes: run in `with`, and anew after a failure"
            )
        cpu, began = ProcessClock(), time.perf_counter()
        with ExitStack() as stack:
            stack.callback(self._stop, 0.0)
            answer = self._ask(
                Job(
                    settings.source,
                    limits,
                    settings.max_records,
                    settings.output.absolute(),
                    settings.rejects.absolute() if settings.rejects else None,
                )
            )
            if isinstance(answer, Failure):
                raise answer.error
            stack.pop_all()
        elapsed_s = time.perf_counter() - began
        report: RunReport = msgspec.structs.replace(
            answer,
            engine=self.name,
            elapsed_s=elapsed_s,
            throughput_per_s=answer.records.ingested / elapsed_s,
            startup_s=self._startup_s,
            cpu_s=cpu.lap() / 1e9,
            peak_rss_bytes=peak_rss_bytes(),
        )
        settings.on_progress(report.records.ingested)
        return report

    def _ask(self, message: Greeting | Job, timeout_s: float | None = None) -> Any:
        """Send a message to ingest and return the answer of the sink.

        Raises StageError if a process ends before that, or there is no answer in time.
        """
        # A process that has ended is found below.
        with suppress(BrokenPipeError):
            self._jobs.send(message)
        ends = {process.sentinel: process for process in self._processes}
        ready = wait([self._answers, *ends], timeout_s)
        if not ready:
            raise StageError(f"the queues did not start within {timeout_s:g} s")
        if self._answers in ready:
            try:
                return self._answers.recv()
            except (EOFError, ConnectionError):
                # The sink is about to end.
                ready = wait(ends, _STOP_S)
        ended = [process for sentinel, process in ends.items() if sentinel in ready]
        first = (ended or self._processes[-1:])[0]
        first.join(_STOP_S)
        raise StageError(f"stage {first.name} is lost: {_how_it_ended(first)}")

    def _stop(self, grace_s: float) -> None:
        """End the processes; terminate those that take longer than ``grace_s``."""
        # Ingest takes this for the end, and passes it on.
        self._jobs.close()
        _join(self._processes, grace_s)
        for process in self._processes:
            process.terminate()
        _join(self._processes, _STOP_S)
        for process in self._processes:
            process.kill()
            process.join()
            process.close()
        self._processes.clear()
        for end in self._ends:
            end.close()
        self._ends.clear()
        self._answers.close()


def _join(processes: list[SpawnProcess], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))


def _how_it_ended(process: SpawnProcess) -> str:
    """Describe how a process has ended."""
    code = process.exitcode or 0
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process ended with exit code {code}"
