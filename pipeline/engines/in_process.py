"""Pass batches through stage functions in this process, and account for the time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from google.protobuf.message import Message

from pipeline.accounting import RunAccount
from pipeline.clock import peak_rss_bytes
from pipeline.engines.base import check_counts
from pipeline.errors import (
    FunctionError,
    PipelineError,
    Place,
    raised,
    user_traceback,
)
from pipeline.stages import INGEST, SINK, Output, check_output
from pipeline.v1.pipeline_pb2 import Timing
from pipeline.workload import Workload


@contextmanager
def named_failures() -> Iterator[Place]:
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


def pass_batches(
    workload: Workload,
    outputs: Iterable[Output[Any]],
    account: RunAccount,
    laps: Laps,
    place: Place,
    *,
    add: Callable[[Message], None],
    on_settled: Callable[[int, int], None],
    first_batch: int = 0,
    take_waited_ns: Callable[[], int] = lambda: 0,
) -> None:
    """Take every batch through the stage functions to the result.

    Args:
        workload: What the functions belong to.
        outputs: The batches of its source.
        account: Counts the records.
        laps: Measures the time of each stage.
        place: Is kept up to date.
        add: Adds the payload of a batch to the result.
        on_settled: Called after each batch with the records that were ingested, and
            the nanoseconds that they took.
        first_batch: Number of the first batch.
        take_waited_ns: Returns the nanoseconds that the source has waited for input
            since the last call.

    Raises:
        PipelineError: A batch is not as it must be.
    """
    __tracebackhide__ = True
    place.stage = INGEST
    for number, output in enumerate(outputs, first_batch):
        laps.end(INGEST, waited_ns=take_waited_ns())
        began_ns = laps.last_ns
        place.batch, place.first_record = number, account.ingested + 1
        check_output(output, workload.source.returns)
        ingested = output.records + output.filtered + len(output.rejections)
        account.ingest(ingested)
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
        add(message)
        account.settle(records, filtered, rejections)
        laps.end(SINK)
        on_settled(ingested, laps.last_ns - began_ns)
        place.stage, place.batch = INGEST, None


class Laps:
    """Divides the time of a run between the stages.

    Each lap reads the wall clock only: reading the CPU time of a thread takes about as
    long as a stage needs for one record. CPU time is read once, and divided between the
    stages in proportion to their time without waiting.

    Args:
        cpu_ns: Returns the CPU time spent so far.
    """

    def __init__(self, cpu_ns: Callable[[], int] = time.process_time_ns) -> None:
        self._cpu_ns = cpu_ns
        self._cpu_start_ns = cpu_ns()
        #: When the last lap ended.
        self._start = self.last_ns = time.perf_counter_ns()
        self._work_ns: Counter[str] = Counter()
        self._waited_ns = 0

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

    @property
    def cpu_s(self) -> float:
        """CPU seconds since the start."""
        return (self._cpu_ns() - self._cpu_start_ns) / 1e9

    def timings(self) -> dict[str, Timing]:
        """Return what each stage has spent."""
        cpu_share = self.cpu_s * 1e9 / max(1, self._work_ns.total())
        peak = peak_rss_bytes()
        return {
            stage: Timing(
                wait_ns=self._waited_ns if stage == INGEST else 0,
                process_ns=work_ns,
                process_cpu_ns=int(work_ns * cpu_share),
                process_total_cpu_ns=int(work_ns * cpu_share),
                peak_rss_bytes=peak,
            )
            for stage, work_ns in self._work_ns.items()
        }
