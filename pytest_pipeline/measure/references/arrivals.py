"""Measure latency at a fixed rate of arrivals (an open-loop load).

Records are due at a fixed rate, whether or not the stages keep up, and a batch is full
when its last record is due. A stage that falls behind so delays every record that is
due meanwhile, not only those it was processing.
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

#: The share of batches, from the first, that are left out as warm-up.
WARM_UP = 0.1

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Arrivals:
    """When each batch of a run was sent and answered, in seconds from its start.

    Record i, from 0, was due at i / ``rate_per_s``.
    """

    rate_per_s: float
    #: The number of records in each batch.
    records: Sequence[int]
    #: When each batch was sent to the first transform stage.
    sent: Sequence[float]
    #: When the last transform stage had answered each batch.
    answered: Sequence[float]
    #: The result of the run.
    result: bytes = b""

    @property
    def achieved_per_s(self) -> float:
        """Records per second from the first arrival to the last answer.

        It is below ``rate_per_s`` if the stages did not keep up.
        """
        return sum(self.records) / max(self.answered)

    @property
    def latency(self) -> Latency:
        """The latency of all records, except those of the warm-up batches."""
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
    """A source that yields batches from memory, each when its last record is due.

    Args:
        batches: All batches of the run.
        rate_per_s: Records that are due per second.
        clock: Returns seconds.
        wait: Waits for a number of seconds; returns True if the run is over.
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
        #: When the first record was due, by ``clock``.
        self.began = 0.0
        self._batches = batches
        self._rate_per_s = rate_per_s
        self._clock = clock
        self._wait = wait

    def read(
        self,
        spec: Empty,  # noqa: ARG002 - the batches are given
        limits: BatchLimits,  # noqa: ARG002 - and have their size
        max_records: int,  # noqa: ARG002 - and are all wanted
        inputs: Opener,  # noqa: ARG002 - nothing is read
    ) -> Iterator[Output[Any]]:
        """Yield each batch when its last record is due, or at once if it is overdue."""
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
    """Run the split with records arriving at a fixed rate, and time each batch.

    Ingest runs in this process and holds all batches in memory. The run takes
    ``records / rate_per_s`` seconds, or longer if the stages do not keep up.

    Args:
        workload: What to run.
        source: Describes the records, as for ingest.
        rate_per_s: Records that are due per second.
        batch_size: Records of a batch.
        records: How many arrive at most.
        addresses: Of transform stages that are already served, one or several each. The
            others, and the sink, are started.
        credentials: For channels to ``addresses``; None for insecure ones.
        transport: Of the servers that are started.

    Raises:
        UsageError: The rate is not a finite number above 0, the workload has no
            transform stage, or an address is not of a transform stage.
        SourceError: The source has no records.
        PipelineError: The run fails.
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
    """Raise UsageError if this can't be measured."""
    check_rate(rate_per_s)
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


def check_rate(rate_per_s: float) -> None:
    """Raise UsageError unless records can arrive at this rate."""
    if not 0 < rate_per_s < float("inf"):
        raise UsageError(
            f"rate {rate_per_s}: must be a finite number of records per second above 0"
        )


def _percentiles(seconds: Floats) -> Percentiles:
    # The time of a record, not an interpolation between two.
    p50, p99, p999 = np.quantile(seconds, [0.5, 0.99, 0.999], method="inverted_cdf")
    return Percentiles(float(p50), float(p99), float(p999))
