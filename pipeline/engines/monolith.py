"""The monolith: the same stage functions in one process, without gRPC."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from pipeline.accounting import RejectsFile, RunAccount, RunReport
from pipeline.batching import LiveLimits
from pipeline.clock import ProcessClock, peak_rss_bytes
from pipeline.engines.base import RunSettings, check_counts, check_end
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
from pipeline.sizing import BATCH_BYTES, BatchSizer
from pipeline.stages import INGEST, SINK, check_output
from pipeline.v1.pipeline_pb2 import Timing

# Seconds that a batch of one event takes in all stage functions; ``pipeline run`` at
# batch size 1.
_FIXED_S = 30e-6


class MonolithEngine:
    """Runs a workload in this process, one batch after the other."""

    name = "monolith"

    def run(self, settings: RunSettings) -> RunReport:
        """Run to the end, as `Engine.run` says."""
        __tracebackhide__ = True
        with ExitStack() as stack:
            output = stack.enter_context(Draft(settings.output))
            rejects = None
            if settings.rejects is not None:
                rejects = RejectsFile(settings.rejects)
                stack.enter_context(rejects.draft)
            account = RunAccount(settings.workload.stage_names, rejects)
            result = ResultWriter(settings.workload.new_result(), output)
            laps = _Laps()
            with _named_failures() as place:
                _pass_batches(settings, account, result, laps, place)
                check_end(account, settings)
                if rejects is not None:
                    rejects.draft.seal()
                place.stage, place.batch = SINK, None
                settings.on_publish()
                result.commit(account.batches, account.passed)
            if rejects is not None:
                rejects.draft.publish()
            laps.end(SINK)
        laps.spend_on(account)
        return account.report(
            workload=settings.workload.name,
            engine=self.name,
            batch_size=settings.batch_size,
            elapsed_s=laps.elapsed_s,
            startup_s=0.0,
            cpu_s=laps.cpu_s,
            one_process=True,
        )


@contextmanager
def _named_failures() -> Iterator[Place]:
    """Turn any exception of a user's function into a FunctionError with its place.

    There is one such block around the whole run, and the caller keeps the place up to
    date: a block for each call would cost as much as a stage needs for one record.
    """
    __tracebackhide__ = True
    place = Place()
    try:
        yield place
    except PipelineError:
        raise
    except Exception as error:
        raise FunctionError(
            f"{place}: {raised(error)}", user_traceback(error)
        ) from error


def _pass_batches(
    settings: RunSettings,
    account: RunAccount,
    result: ResultWriter,
    laps: _Laps,
    place: Place,
) -> None:
    """Take every batch from the source through the stage functions to the result."""
    __tracebackhide__ = True
    place.stage = INGEST
    workload, inputs = settings.workload, Inputs()
    sizer, live = BatchSizer(_FIXED_S), LiveLimits(1, BATCH_BYTES)
    outputs = workload.source.read(
        settings.source,
        live if settings.sizes_batches else settings.fixed_limits,
        settings.max_records,
        inputs,
    )
    for number, output in enumerate(outputs):
        laps.end(INGEST, waited_ns=inputs.take_waited_ns())
        began_ns = laps.last_ns
        place.batch, place.first_record = number, account.ingested + 1
        check_output(output, workload.source.returns)
        account.ingest(output.records + output.filtered + len(output.rejections))
        message, records, filtered = output.message, output.records, output.filtered
        rejections = [(INGEST, rejection) for rejection in output.rejections]
        for stage in workload.transforms:
            place.stage = stage.name
            made = stage(message)
            rejected = len(made.rejections)
            # Compared here, because the call takes longer than the comparison.
            if made.records + made.filtered + rejected != records:
                check_counts(
                    stage.name,
                    number,
                    given=records,
                    records=made.records,
                    filtered=made.filtered,
                    rejected=rejected,
                )
            message, records = made.message, made.records
            filtered += made.filtered
            rejections += [(stage.name, rejection) for rejection in made.rejections]
            laps.end(stage.name)
        place.stage = SINK
        result.add(message)
        account.settle(records, filtered, rejections)
        laps.end(SINK)
        if settings.sizes_batches:
            ingested = output.records + output.filtered + len(output.rejections)
            sizer.observe("all", ingested, (laps.last_ns - began_ns) / 1e9)
            live.change(sizer.records, BATCH_BYTES)
        settings.on_settled(account)
        place.stage, place.batch = INGEST, None


class _Laps:
    """Divides the time of the run between the stages.

    Each lap reads the wall clock only: reading the CPU time of a thread takes about as
    long as a stage needs for one record. CPU time is read once, and divided between the
    stages in proportion to their time without waiting.
    """

    def __init__(self) -> None:
        self._cpu = ProcessClock()
        #: When the last lap ended.
        self._start = self.last_ns = time.perf_counter_ns()
        self._work_ns: Counter[str] = Counter()
        self._waited_ns = 0
        self.cpu_s = 0.0

    def end(self, stage: str, waited_ns: int = 0) -> None:
        """Add the time since the last lap to ``stage``, less ``waited_ns``."""
        now = time.perf_counter_ns()
        self._work_ns[stage] += now - self.last_ns - waited_ns
        self._waited_ns += waited_ns
        self.last_ns = now

    @property
    def elapsed_s(self) -> float:
        """Seconds from the start to the last lap."""
        return (self.last_ns - self._start) / 1e9

    def spend_on(self, account: RunAccount) -> None:
        """Add the laps to the accounts of the stages."""
        cpu_ns = self._cpu.lap()
        self.cpu_s = cpu_ns / 1e9
        cpu_share = cpu_ns / max(1, self._work_ns.total())
        for stage, work_ns in self._work_ns.items():
            timing = Timing(
                wait_ns=self._waited_ns if stage == INGEST else 0,
                process_ns=work_ns,
                process_cpu_ns=int(work_ns * cpu_share),
                process_total_cpu_ns=int(work_ns * cpu_share),
                peak_rss_bytes=peak_rss_bytes(),
            )
            account.stages[stage].spend(timing)
