"""What a worker does: pass one part through the stage functions."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from google.protobuf.message import Message

from pipeline.accounting import RunAccount
from pipeline.batching import BatchLimits
from pipeline.engines.distributed.parts import Failure, FedPart
from pipeline.engines.in_process import Laps, named_failures, pass_batches
from pipeline.errors import ContractError, PipelineError, UsageError
from pipeline.source import Part
from pipeline.stages import Output
from pipeline.v1.pipeline_pb2 import Rejection
from pipeline.workload import Workload
from pipeline.workloads import workload_named


class StageRejection(NamedTuple):
    """A rejection and the stage that made it."""

    stage: str
    record: int
    reason: str
    field: str


class SettledBatch(NamedTuple):
    """The account of one batch."""

    ingested: int
    passed: int
    filtered: int
    rejections: tuple[StageRejection, ...]


@dataclass(slots=True)
class PartResult:
    """What a part comes to. It can be pickled."""

    #: Host and process that it was run in.
    worker: str
    batches: list[SettledBatch] = field(default_factory=list)
    #: The state of the result over all batches, if adding them wrote nothing.
    state: bytes | None = None
    #: The payloads for the result otherwise.
    payloads: list[bytes] = field(default_factory=list)
    #: Why the run must end behind these batches.
    failure: Failure | None = None
    #: The `Timing` of each stage.
    timings: dict[str, bytes] = field(default_factory=dict)


class Job:
    """What the parts of a run have in common.

    The workload is pickled as its name, and found by it in the other process.
    """

    def __init__(
        self, workload: Workload, source: Message, limits: BatchLimits
    ) -> None:
        self.name = workload.name
        self.source = source
        self.limits = limits
        self._workload: Workload | None = workload

    def workload(self) -> Workload:
        """Return the workload; import it where that is needed.

        Raises:
            UsageError: It can't be imported.
        """
        if self._workload is None:
            self._workload = workload_named(self.name)
        return self._workload

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_workload": None}


def run_part(job: Job, part: Part | FedPart) -> PartResult:
    """Pass a part through the stage functions; a failure is part of what is returned.

    It is not raised, since whoever retries lost calls would retry it, too.
    """
    __tracebackhide__ = True
    done = PartResult(worker=f"{socket.gethostname()}:{os.getpid()}")
    try:
        with named_failures() as place:
            workload = _workload(job)
            account = _PartAccount(workload.stage_names, part.first_record, done)
            # Other threads of a worker may run other parts.
            laps, result = Laps(time.thread_time_ns), _PartResult(workload, done)
            pass_batches(
                workload,
                _outputs(job, workload, part),
                account,
                laps,
                place,
                add=result.add,
                on_settled=lambda *_: None,
                first_batch=part.first_batch,
            )
            result.finish()
            done.timings = {
                stage: timing.SerializeToString()
                for stage, timing in laps.timings().items()
            }
            if isinstance(part, FedPart):
                done.failure = part.failure
            elif account.ingested != part.first_record - 1 + part.records:
                raise ContractError(
                    f"the source was divided into a part of {part.records} records "
                    f"from record {part.first_record}, but read its last record as "
                    f"{account.ingested}"
                )
    except PipelineError as error:
        done.failure = Failure.of(error)
    return done


def _workload(job: Job) -> Workload:
    try:
        return job.workload()
    except UsageError as error:
        raise UsageError(
            f"a worker has not the same workload: {error}; install it on all workers"
        ) from error


def _outputs(
    job: Job, workload: Workload, part: Part | FedPart
) -> Iterator[Output[Any]]:
    source = workload.source
    if isinstance(part, FedPart):
        return (batch.output(source.returns) for batch in part.batches)
    if source.division is None:
        raise ContractError(
            f"workload {job.name} is divisible here, but not on a worker; install the "
            f"same version on all workers"
        )
    return source.division.read_part(job.source, job.limits, part)


class _PartAccount(RunAccount):
    """Keeps the counts of each batch apart, for the account of the whole run."""

    def __init__(
        self, stage_names: Sequence[str], first_record: int, done: PartResult
    ) -> None:
        super().__init__(stage_names)
        self.ingested = first_record - 1
        self._done = done
        self._ingested = 0

    def ingest(self, records: int) -> None:
        self.ingested += records
        self._ingested = records

    def settle(
        self,
        passed: int,
        filtered: int,
        rejections: Sequence[tuple[str, Rejection]],  # type: ignore[override]
    ) -> None:
        self._done.batches.append(
            SettledBatch(
                self._ingested,
                passed,
                filtered,
                tuple(
                    StageRejection(stage, it.record, it.reason, it.field)
                    for stage, it in rejections
                ),
            )
        )


class _PartResult:
    """Adds the payloads of a part to a result of its own."""

    def __init__(self, workload: Workload, done: PartResult) -> None:
        self._accumulator = workload.new_result()
        self._done = done
        self._wrote = False

    def add(self, message: Message) -> None:
        __tracebackhide__ = True
        # Before an accumulator may change it.
        self._done.payloads.append(message.SerializeToString())
        if not self._wrote:
            self._wrote = bool(self._accumulator.add(message))

    def finish(self) -> None:
        """Replace the payloads by a state, if adding them wrote nothing."""
        __tracebackhide__ = True
        if not self._wrote:
            self._done.state = self._accumulator.state().SerializeToString()
            self._done.payloads = []
