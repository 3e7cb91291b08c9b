"""Pace ingest: when it sends the next batch, and how large that may be."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress

from pipeline.sizing import BATCH_BYTES, BatchSizer
from pipeline.transport import wire
from pipeline.transport.client import CallEnded, Channel
from pipeline.v1.pipeline_pb2 import Credit

# CPU seconds that gRPC takes for a batch of one record, in all processes together. On
# few cores they have to wait for each other, so it counts for each stage.
_FIXED_S = 1e-3
# Batches in flight beside one for each server behind ingest. With two, servers that
# wait for their turn on a core run out of work.
_BATCHES_WAITING = 4


class Pacer:
    """Gives ingest credit for batches, so that records gather only while stages work.

    A batch needs credit, and its credit comes back when the sink has been sent the
    batch. So the next batch is cut when the stages have time for it, from all records
    that have arrived by then, up to the size from which larger ones gain little.

    An ingest that does not serve `Credits` keeps the limits of its request.

    Args:
        channel: To ingest.
        servers: Number of servers behind ingest.
    """

    def __init__(self, channel: Channel, servers: int) -> None:
        self._most = servers + _BATCHES_WAITING
        self._sizer = BatchSizer(_FIXED_S)
        self._settled = 0
        #: How many were settled when the size last doubled.
        self._grown_at = 0
        #: How many batches of the run may be sent, and of how many records.
        self._batches = self._records = 0
        self._connect(channel, 0)

    def _connect(self, channel: Channel, batches: int) -> None:
        """Give credit to this ingest, which sends what follows ``batches``."""
        #: Names the run in the request to ingest.
        self.run = secrets.token_hex(8)
        self._call = channel.call(wire.GRANT)
        self._before = batches
        self._is_over = False

    def observer_of(self, stage: str) -> Callable[[int, float], None]:
        """Return what a leg calls with the records and the seconds of each batch."""
        return lambda records, seconds: self._sizer.observe(stage, records, seconds)

    async def open(self) -> None:
        """Give credit for the first batch: nothing is known of its cost."""
        await self._grant(1, 1)

    async def reopen(self, channel: Channel, batches: int) -> None:
        """Give the credit that is left to another ingest.

        Args:
            channel: To that ingest.
            batches: How many were received from those before.
        """
        self._connect(channel, batches)
        # All others may be settled: then nothing else gives credit.
        batches = max(self._settled + self._most, self._batches)
        await self._grant(batches, self._sizer.records)

    async def settle(self) -> None:
        """Give the credit of a batch back that the sink has been sent."""
        self._settled += 1
        records, most = self._sizer.records, self._most
        has_grown = records >= 2 * self._records
        if has_grown:
            self._grown_at = self._settled
        # While batches grow fewer are in flight, since each is in the way of larger
        # ones behind it.
        if self._settled - self._grown_at < most // 2:
            most //= 2
        batches = max(self._settled + most, self._batches)
        # Credit is a message, so it is sent only once half is used up.
        if has_grown or batches - self._batches >= most // 2:
            await self._grant(batches, records)

    async def close(self) -> None:
        """Finish: ingest has sent everything."""
        if not self._is_over:
            self._is_over = True
            with suppress(CallEnded):
                await self._call.half_close()

    async def _grant(self, batches: int, records: int) -> None:
        if self._is_over:
            return
        self._batches, self._records = batches, records
        call = self._call
        credit = Credit(
            run=self.run,
            batches=batches - self._before,
            batch_records=records,
            batch_bytes=BATCH_BYTES,
        )
        try:
            await call.send(credit.SerializeToString())
        except CallEnded:
            # Either ingest serves no credit, or it is gone: then its leg finds out, and
            # it may have been replaced by now.
            if call is self._call:
                self._is_over = True
