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
# Batches in flight beside one for each server behind ingest.
_BATCHES_WAITING = 2


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
        #: Names the run in the request to ingest.
        self.run = secrets.token_hex(8)
        self._call = channel.call(wire.GRANT)
        self._most = servers + _BATCHES_WAITING
        self._sizer = BatchSizer(_FIXED_S)
        self._settled = 0
        #: How many were settled when the size last doubled.
        self._grown_at = 0
        self._granted = Credit()
        self._is_over = False

    def observer_of(self, stage: str) -> Callable[[int, float], None]:
        """Return what a leg calls with the records and the seconds of each batch."""
        return lambda records, seconds: self._sizer.observe(stage, records, seconds)

    async def open(self) -> None:
        """Give credit for the first batch: nothing is known of its cost."""
        await self._grant(1, 1)

    async def settle(self) -> None:
        """Give the credit of a batch back that the sink has been sent."""
        self._settled += 1
        records, most = self._sizer.records, self._most
        has_grown = records >= 2 * self._granted.batch_records
        if has_grown:
            self._grown_at = self._settled
        # While batches grow fewer are in flight, since each is in the way of larger
        # ones behind it.
        if self._settled - self._grown_at < most // 2:
            most //= 2
        batches = max(self._settled + most, self._granted.batches)
        # Credit is a message, so it is sent only once half is used up.
        if has_grown or batches - self._granted.batches >= most // 2:
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
        self._granted = Credit(
            run=self.run,
            batches=batches,
            batch_records=records,
            batch_bytes=BATCH_BYTES,
        )
        try:
            await self._call.send(self._granted.SerializeToString())
        except CallEnded:
            # Either ingest serves no credit, or it is gone: then its leg finds out.
            self._is_over = True
