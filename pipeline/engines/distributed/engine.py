"""The distributed engine: parts run elsewhere, and are committed here in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

from pipeline.accounting import RunReport
from pipeline.clock import ProcessClock
from pipeline.engines.base import RunSettings
from pipeline.engines.distributed.executor import Executor, in_order
from pipeline.engines.distributed.parts import FED_BYTES, parts_of
from pipeline.engines.distributed.work import Job, PartResult, run_part
from pipeline.engines.in_process import named_failures
from pipeline.engines.publication import Publication, open_publication
from pipeline.errors import UsageError
from pipeline.inputs import Inputs
from pipeline.stages import INGEST, SINK
from pipeline.v1.pipeline_pb2 import Rejection, Timing


class DistributedEngine:
    """Runs a workload in parts, on the workers of an executor.

    Batches, their numbers, and so the result, the rejects and the text of errors are
    those of the monolith at the same limits.

    Args:
        name: Its name in the run report.
        open_executor: Returns a context manager of the executor of a run.
        window: The most parts that are submitted and not yet committed; None for two
            for each worker.
        fed_bytes: How large a part becomes that the driver reads, since the source
            can't be divided.

    Raises:
        UsageError: The window is below 1.
    """

    def __init__(
        self,
        name: str,
        open_executor: Callable[[], AbstractContextManager[Executor]],
        window: int | None = None,
        *,
        fed_bytes: int = FED_BYTES,
    ) -> None:
        if window is not None and window < 1:
            raise UsageError(f"window {window}: must be 1 or more")
        self.name = name
        self._open_executor = open_executor
        self._window = window
        self._fed_bytes = fed_bytes

    @contextmanager
    def opened(self, *, fed_bytes: int = FED_BYTES) -> Iterator[DistributedEngine]:
        """Yield this engine with an executor that stays open for several runs.

        Raises:
            PipelineError: The executor can't be opened.
        """
        with self._open_executor() as executor:
            yield DistributedEngine(
                self.name,
                lambda: nullcontext(executor),
                self._window,
                fed_bytes=fed_bytes,
            )

    def run(self, settings: RunSettings) -> RunReport:
        """Run to the end, as `Engine.run` says."""
        __tracebackhide__ = True
        if settings.checkpoint is not None:
            raise UsageError(f"--checkpoint: engine {self.name} takes none")
        started, cpu = time.perf_counter(), ProcessClock()
        with (
            open_publication(settings) as publication,
            self._open_executor() as executor,
        ):
            began = time.perf_counter()
            window = self._window or 2 * executor.workers
            committer = _Committer(publication)
            inputs = Inputs()
            parts = parts_of(
                settings,
                partial(_map_in_order, executor, window),
                inputs,
                fed_bytes=self._fed_bytes,
            )
            job = Job(settings.workload, settings.source, settings.fixed_limits)
            for done in in_order(executor, partial(run_part, job), parts, window):
                committer.commit(done)
            with named_failures() as place:
                publication.publish(place)
            ended = time.perf_counter()
        account = publication.account
        for name, stage in account.stages.items():
            stage.replicas = 1 if name == SINK else max(1, len(committer.workers))
        account.stages[INGEST].spend(Timing(wait_ns=inputs.take_waited_ns()))
        return account.report(
            workload=settings.workload.name,
            engine=self.name,
            batch_size=settings.batch_size,
            elapsed_s=ended - began,
            startup_s=began - started,
            cpu_s=cpu.lap() / 1e9,
            one_process=False,
        )


def _map_in_order(
    executor: Executor, window: int, function: Callable[[Any], Any], items: Any, /
) -> Any:
    return in_order(executor, function, items, window)


class _Committer:
    """Adds parts to the account and the result of a run, in order."""

    def __init__(self, publication: Publication) -> None:
        self._publication = publication
        self._settings = publication.settings
        self._account = publication.account
        workload = self._settings.workload
        self._state_type = type(workload.new_result().state())
        self._payload_type = workload.result_takes
        #: Those that parts were run by.
        self.workers: set[str] = set()

    def commit(self, done: PartResult) -> None:
        """Add the next part.

        Raises:
            PipelineError: A batch of it has failed, or a limit is exceeded.
        """
        __tracebackhide__ = True
        self.workers.add(done.worker)
        for batch in done.batches:
            self._account.ingest(batch.ingested)
            self._account.settle(
                batch.passed,
                batch.filtered,
                [
                    (
                        it.stage,
                        Rejection(record=it.record, reason=it.reason, field=it.field),
                    )
                    for it in batch.rejections
                ],
            )
            self._settings.on_settled(self._account)
        for stage, timing in done.timings.items():
            self._account.stages[stage].spend(Timing.FromString(timing))
        if done.failure is not None:
            raise done.failure.error()
        result = self._publication.result
        with named_failures() as place:
            place.stage = SINK
            if done.state is not None:
                state = self._state_type.FromString(done.state)
                result.merge(state, len(done.batches))
            for payload in done.payloads:
                result.add(self._payload_type.FromString(payload))
