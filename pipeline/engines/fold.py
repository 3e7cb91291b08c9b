"""The end of the relay where the orchestrator writes the result itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from pipeline.accounting import StageAccount
from pipeline.clock import Stopwatch
from pipeline.engines.in_process import named_failures
from pipeline.engines.legs import InFlightBatch
from pipeline.engines.publication import Publication
from pipeline.errors import Place, StageError
from pipeline.stages import SINK
from pipeline.transport.wire import PayloadError, unpack
from pipeline.v1.pipeline_pb2 import Timing


class FoldLeg:
    """Adds batches to the result in this process, where `SinkLeg` sends them to a sink.

    A checkpoint needs the result and the account as they are after the same batch, so
    both are in one process.

    Args:
        publication: Has the result and the checkpoint.
        account: Of the sink; its time is accounted to it.
        settle: Called with each batch once it is in the result.
    """

    def __init__(
        self,
        publication: Publication,
        account: StageAccount,
        settle: Callable[[InFlightBatch], Awaitable[None]],
    ) -> None:
        self._publication = publication
        self._account = account
        self._settle = settle

    def awaited(self) -> None:
        """Return None: it waits for no server."""

    async def overdue(self, waited_s: float) -> None:
        """Do nothing: no server can be late."""

    async def open(self) -> None:
        """Do nothing: the drafts are open."""

    async def send(self, batch: InFlightBatch) -> None:
        """Add a batch that has passed all stages."""
        watch, workload = Stopwatch(), self._publication.settings.workload
        with _failures_at(batch) as place:
            try:
                message = unpack(batch.message.payload, workload.result_takes)
            except PayloadError as error:
                raise StageError(f"{place}: {error}") from error
            decode = watch.lap()
            self._publication.result.add(message)
        added = watch.lap()
        await self._settle(batch)
        watch.lap()
        with _failures_at(batch):
            self._publication.end_batch()
        stored = watch.lap()
        self._account.spend(
            Timing(
                decode_ns=decode.wall,
                decode_cpu_ns=decode.cpu,
                process_ns=added.wall + stored.wall,
                process_cpu_ns=added.cpu + stored.cpu,
            )
        )

    async def close(self) -> None:
        """Do nothing: whether the run is committed or abandoned is still open."""

    async def check(self, timeout_s: float) -> None:
        """Do nothing: no server can be lost."""

    async def abandon(self) -> None:
        """Do nothing: whoever has opened the drafts discards them."""

    async def commit(self, batches: int, records: int) -> None:
        """Publish the result of so many batches and records.

        Raises:
            ConservationError: It has other counts; nothing was published.
            SinkError: It can't be written.
        """
        with named_failures() as place:
            place.stage = SINK
            self._publication.result.commit(batches, records)


@contextmanager
def _failures_at(batch: InFlightBatch) -> Iterator[Place]:
    """Name the batch in what a function of the workload raises."""
    __tracebackhide__ = True
    with named_failures() as place:
        place.stage, place.batch = SINK, batch.message.number
        place.first_record = batch.first_record
        yield place
