"""Relay batches from each leg to the next."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from pipeline.engines.legs import InFlightBatch
from pipeline.engines.replicas import Replicas


class Upstream(Protocol):
    """A leg that batches come from."""

    async def receive(self) -> InFlightBatch | None:
        """Return the next batch; None at the end."""


class Downstream(Protocol):
    """A leg that batches go to."""

    async def send(self, batch: InFlightBatch) -> None:
        """Send a batch, as soon as the leg has room for it."""

    async def close(self) -> None:
        """Finish: no batch follows."""


async def relay_all(
    ingest: Upstream, transforms: Sequence[Replicas], sink: Downstream
) -> None:
    """Relay between all neighbours concurrently; raise the first failure."""
    upstreams: list[Upstream] = [ingest, *transforms]
    downstreams: list[Downstream] = [*transforms, sink]
    try:
        async with asyncio.TaskGroup() as relays:
            for upstream, downstream in zip(upstreams, downstreams, strict=True):
                relays.create_task(_relay(upstream, downstream))
            for replicas in transforms:
                replicas.start(relays)
    except ExceptionGroup as group:
        # The first failure is the cause: it cancelled the other relays.
        raise group.exceptions[0] from None


async def _relay(upstream: Upstream, downstream: Downstream) -> None:
    """Pass every batch on from one leg to the next."""
    while (batch := await upstream.receive()) is not None:
        await downstream.send(batch)
    await downstream.close()
