"""Measure latency under an open-loop load of lines that arrive through a pipe.

Each line is written when it is due, by a thread of this process, and ingest cuts it
into a batch as in any run. So this measures batch size ``auto``; the batches of
`arrivals_of` are made before they arrive.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.batching import BatchSize, limits_of
from pipeline.engines.base import RunSettings
from pipeline.errors import StageError, UsageError
from pipeline.v1.lines_pb2 import LineSource
from pipeline.v1.pipeline_pb2 import Batch
from pytest_pipeline.measure.dataset import Dataset
from pytest_pipeline.measure.references.arrivals import Arrivals, check_rate
from pytest_pipeline.servers.handle import Server
from pytest_pipeline.servers.runs import split_engine

# How often a full pipe is looked at whether the run is over.
_POLL_S = 0.1
_STOP_S = 10.0


def arrives_by_pipe(dataset: Dataset) -> bool:
    """Return whether the records of a dataset are lines of a file."""
    return dataset.path is not None and dataset.workload.source.spec is LineSource


def arrivals_by_pipe(
    dataset: Dataset,
    servers: Iterable[Server],
    folder: Path,
    *,
    rate_per_s: float,
    batch_size: BatchSize,
    records: int,
) -> Arrivals:
    """Run the split with lines arriving at a fixed rate, and time each batch.

    Args:
        dataset: Its records are lines; see `arrives_by_pipe`.
        servers: Of all stages.
        folder: Where the pipe and the result are; ingest and the sink serve it.
        rate_per_s: Lines that are due per second.
        batch_size: Records of a batch, or ``auto``.
        records: How many arrive at most.

    Raises:
        UsageError: The rate is not a finite number above 0, or the records are no lines
            of a file.
        PipelineError: The run fails.
    """
    check_rate(rate_per_s)
    if dataset.path is None or not arrives_by_pipe(dataset):
        raise UsageError(
            f"workload {dataset.workload.name}: its records are no lines of a file, so "
            f"they can't arrive by a pipe"
        )
    transforms = [stage.name for stage in dataset.workload.transforms]
    with dataset.path.open("rb") as file:
        lines = list(islice(file, records))
    sizes: dict[int, int] = {}
    sent: dict[int, float] = {}
    answered: dict[int, float] = {}

    def note(
        stage: str, direction: Literal["to", "from"], batch: Batch, _size: int
    ) -> None:
        if stage == transforms[0] and direction == "to":
            sizes[batch.number] = batch.records
            sent[batch.number] = time.perf_counter()
        if stage == transforms[-1] and direction == "from":
            answered[batch.number] = time.perf_counter()

    path, output = folder / "arrivals", folder / "arrived"
    os.mkfifo(path)
    try:
        with Feeder(path, lines, rate_per_s) as feeder:
            split_engine(servers, note).run(
                RunSettings(
                    workload=dataset.workload,
                    source=dataset.workload.source.describe(path=path),
                    input=str(path),
                    output=output,
                    limits=limits_of(batch_size),
                )
            )
    finally:
        path.unlink()
    numbers = range(len(sizes))
    return Arrivals(
        rate_per_s,
        [sizes[number] for number in numbers],
        [sent[number] - feeder.began for number in numbers],
        [answered[number] - feeder.began for number in numbers],
        output.read_bytes(),
    )


class Feeder:
    """Writes lines into a named pipe, each when it is due, in a thread of its own.

    Use it in a ``with`` statement; its end stops the thread.

    Args:
        path: The pipe.
        lines: What is written.
        rate_per_s: Lines that are due per second.
        clock: Returns seconds.
        wait: Waits for a number of seconds; returns True once the run is over.
    """

    def __init__(
        self,
        path: Path,
        lines: list[bytes],
        rate_per_s: float,
        clock: Callable[[], float] = time.perf_counter,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        #: When the first line was due, by ``clock``.
        self.began = 0.0
        self._path = path
        self._text = b"".join(lines)
        ends = np.cumsum([0, *map(len, lines)])
        self._ends: NDArray[np.int64] = ends
        self._rate_per_s = rate_per_s
        self._clock = clock
        self._over = threading.Event()
        self._wait = wait or self._over.wait
        self._thread = threading.Thread(target=self._feed, name="feeder")

    def __enter__(self) -> Self:
        # Opened for both, so that it does not wait for a reader, which may never come.
        self._pipe = os.open(self._path, os.O_RDWR | os.O_NONBLOCK)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(_STOP_S)
        if self._thread.is_alive():
            raise StageError("the lines that arrive: their thread has not ended")

    def _feed(self) -> None:
        try:
            self.began = self._clock()
            count, written = len(self._ends) - 1, 0
            while written < count:
                elapsed = self._clock() - self.began
                due = min(count, int(elapsed * self._rate_per_s) + 1)
                if due == written:
                    if self._wait(due / self._rate_per_s - elapsed):
                        return
                    continue
                if not self._write(int(self._ends[written]), int(self._ends[due])):
                    return
                written = due
        finally:
            # Now ingest finds the end.
            os.close(self._pipe)

    def _write(self, start: int, end: int) -> bool:
        """Write a part of the text; return False if the run is over."""
        text = memoryview(self._text)
        while start < end:
            if select.select([], [self._pipe], [], _POLL_S)[1]:
                try:
                    start += os.write(self._pipe, text[start:end])
                except BlockingIOError:
                    # It has room, but not for a whole line.
                    if self._wait(1 / self._rate_per_s):
                        return False
            elif self._over.is_set():
                return False
        return True
