"""Latency at a fixed rate of arrivals, which do not wait for replies.

Records are due at a fixed rate, whatever the stages do, and a batch is full when its
last record is due. So a stage that falls behind is seen in the latency of all that is
due meanwhile, and not only of what it had at the time.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Literal

import grpc
import numpy as np
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from numpy.typing import NDArray

from pipeline.batching import BatchLimits
from pipeline.engines.base import RunSettings
from pipeline.engines.split import SplitEngine
from pipeline.errors import SourceError, UsageError
from pipeline.inputs import Inputs
from pipeline.source import Opener, Source
from pipeline.stages import INGEST, Output
from pipeline.transport.folders import ServedFolders
from pipeline.transport.processes import Transport, new_folder
from pipeline.transport.server import StageServer
from pipeline.v1.pipeline_pb2 import Batch
from pipeline.workload import Workload
from pytest_pipeline.measure.results import Latency, Percentiles

#: The share of the batches that come first and are left out, while all warms up.
WARM_UP = 0.1

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Arrivals:
    """When the batches of a run were sent and answered; seconds from the first arrival.

    Record i, from 0, was due at i / ``rate_per_s``.
    """

    rate_per_s: float
    #: Of each batch, in order: its records.
    records: Sequence[int]
    #: When it was sent to the first transform stage.
    sent: Sequence[float]
    #: When the last transform stage had answered it.
    answered: Sequence[float]
    #: The result of the run, byte for byte.
    result: bytes = b""

    @property
    def achieved_per_s(self) -> float:
        """Records per second from the first arrival to the last answer.

        As many as were due, where the stages kept up; less, where they did not.
        """
        return sum(self.records) / max(self.answered)

    @property
    def latency(self) -> Latency:
        """The latency of all records but those of the first batches, the warm-up."""
        records = np.array(self.records)
        due = np.arange(records.sum()) / self.rate_per_s
        full, sent, answered = (
            np.repeat(times, records)
            for times in (due[records.cumsum() - 1], self.sent, self.answered)
        )
        counted = slice(records[: int(len(records) * WARM_UP)].sum(), None)
        return Latency(
            rate_per_s=self.rate_per_s,
            total=_percentiles((answered - due)[counted]),
            filling=_percentiles((full - due)[counted]),
            queueing=_percentiles((sent - full)[counted]),
            service=_percentiles((answered - sent)[counted]),
        )


class ArrivingSource:
    """A source of batches that are there already, each of which comes when it is full.

    ``clock`` tells seconds. ``wait`` waits so many, and returns True where there is no
    use in going on.
    """

    def __init__(
        self,
        batches: Sequence[Output[Any]],
        rate_per_s: float,
        clock: Callable[[], float],
        wait: Callable[[float], bool],
    ) -> None:
        self.records = [
            batch.records + batch.filtered + len(batch.rejections) for batch in batches
        ]
        #: When the first record was due, by the clock.
        self.began = 0.0
        self._batches = batches
        self._rate_per_s = rate_per_s
        self._clock = clock
        self._wait = wait

    def read(
        self,
        spec: Empty,  # noqa: ARG002 - what comes is known
        limits: BatchLimits,  # noqa: ARG002 - and cut already
        max_records: int,  # noqa: ARG002 - and all of it is wanted
        inputs: Opener,  # noqa: ARG002 - there is nothing to read
    ) -> Iterator[Output[Any]]:
        """Yield each batch when its last record is due, or at once if that is past."""
        self.began = self._clock()
        last = -1
        for batch, records in zip(self._batches, self.records, strict=True):
            last += records
            full = self.began + last / self._rate_per_s
            while (left := full - self._clock()) > 0:
                if self._wait(left):
                    return
            yield batch


def arrivals_of(
    workload: Workload,
    source: Message,
    *,
    rate_per_s: float,
    batch_size: int,
    records: int,
    addresses: Mapping[str, str | Sequence[str]] | None = None,
    credentials: grpc.ChannelCredentials | None = None,
    transport: Transport = "unix",
) -> Arrivals:
    """Have ``records`` of ``source`` arrive at a rate, and tell when each batch passed.

    ``addresses`` are those of transform stages that are served already; the others, and
    the sink, are started. Ingest is of this process, and has all batches in memory. The
    run takes ``records / rate_per_s`` seconds, or longer if the stages do not keep up.

    Raises UsageError for a rate that is none, a workload without transform stages, or
    the address of another stage; SourceError where there are no records; PipelineError
    where the run fails.
    """
    transforms = [stage.name for stage in workload.transforms]
    _check(rate_per_s, workload, transforms, addresses or {})
    batches = list(
        workload.source.read(source, BatchLimits(batch_size), records, Inputs())
    )
    if not batches:
        raise SourceError("the source holds no records, so none can arrive")
    over = threading.Event()
    arriving = ArrivingSource(batches, rate_per_s, time.perf_counter, over.wait)
    passing = replace(
        workload,
        source=Source(Empty, workload.source.returns, Empty, arriving.read),
    )
    sent, answered = [0.0] * len(batches), [0.0] * len(batches)

    def note(
        stage: str, direction: Literal["to", "from"], batch: Batch, _size: int
    ) -> None:
        if stage == transforms[0] and direction == "to":
            sent[batch.number] = time.perf_counter() - arriving.began
        if stage == transforms[-1] and direction == "from":
            answered[batch.number] = time.perf_counter() - arriving.began

    with ExitStack() as stack:
        folder = new_folder()
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        ingest = StageServer(
            passing, INGEST, f"unix:{folder / INGEST}", ServedFolders([])
        )
        stack.callback(ingest.drain, 0.0)
        stack.callback(over.set)
        engine = SplitEngine(
            {**(addresses or {}), INGEST: ingest.address},
            transport=transport,
            credentials=credentials,
            on_message=note,
        )
        output = folder / "result"
        engine.run(
            RunSettings(
                workload=passing,
                source=Empty(),
                input="",
                output=output,
                limits=BatchLimits(batch_size),
            )
        )
        return Arrivals(
            rate_per_s, arriving.records, sent, answered, output.read_bytes()
        )


def _check(
    rate_per_s: float,
    workload: Workload,
    transforms: Sequence[str],
    addresses: Mapping[str, str | Sequence[str]],
) -> None:
    """Raise UsageError for what can't be measured."""
    if not 0 < rate_per_s < float("inf"):
        raise UsageError(
            f"rate {rate_per_s}: must be a finite number of records per second above 0"
        )
    if not transforms:
        raise UsageError(
            f"workload {workload.name}: has no transform stage for batches to pass"
        )
    for stage in addresses:
        if stage not in transforms:
            raise UsageError(
                f"stage {stage!r}: only the servers of {', '.join(transforms)} may be "
                f"given, since ingest and sink are of the measurement"
            )


def _percentiles(seconds: Floats) -> Percentiles:
    # Not between two records, but what one of them needed.
    p50, p99, p999 = np.quantile(seconds, [0.5, 0.99, 0.999], method="inverted_cdf")
    return Percentiles(float(p50), float(p99), float(p999))
