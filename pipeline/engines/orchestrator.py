"""The orchestrator: it opens the legs of a run and relays batches between them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from itertools import chain

from pipeline.accounting import RunAccount
from pipeline.clock import ProcessClock
from pipeline.engines.base import RunSettings, check_end
from pipeline.engines.calls import OnMessage, StageConnection
from pipeline.engines.commit import commit
from pipeline.engines.connections import Connections, check_all, replace_server
from pipeline.engines.fold import FoldLeg
from pipeline.engines.legs import (
    InFlightBatch,
    IngestLeg,
    LostSinkError,
    SinkLeg,
    TransformLeg,
)
from pipeline.engines.pacing import Pacer
from pipeline.engines.poison import Poison
from pipeline.engines.publication import Publication
from pipeline.engines.recovery import (
    RecoveringIngest,
    RecoveringLeg,
    Recovery,
    backoff_s,
    lost_for_good,
)
from pipeline.engines.relay import relay_all
from pipeline.engines.replicas import Replicas
from pipeline.engines.rereading import Rereading
from pipeline.engines.watchdog import Watchdog
from pipeline.engines.window import WindowLimits
from pipeline.errors import StageError
from pipeline.rejects import RejectsFile
from pipeline.stages import SINK
from pipeline.transport import wire
from pipeline.transport.client import Channel
from pipeline.transport.processes import StageServers
from pipeline.transport.workarounds import wait_for_calls
from pipeline.v1.pipeline_pb2 import Position, ReadRequest


class Orchestrator:
    """Connects the servers of one run, relays its batches, and has it published.

    Args:
        settings: The settings of the run.
        account: Its account.
        publication: What this process publishes itself, for a checkpoint; None lets the
            sink publish.
        target: The path of the result, as the sink is told it.
        addresses: Addresses of servers that others have started, by stage.
        servers: The servers that the run has started.
        rereading: How the input is read again; None if a lost ingest or sink fails the
            run.
        channel_to: Returns a channel to a server, given its stage and its address.
        on_message: Called for each batch that crosses a leg.
        window: The most that may be in flight at each transform stage.
        recovery: How far the run goes to replace a server that is lost.
        rejects: The rejects file, if there is one.
    """

    def __init__(
        self,
        settings: RunSettings,
        *,
        account: RunAccount,
        publication: Publication | None,
        target: str,
        addresses: Mapping[str, Sequence[str]],
        servers: StageServers,
        rereading: Rereading | None,
        channel_to: Callable[[str, str], Channel],
        on_message: OnMessage,
        window: WindowLimits,
        recovery: Recovery,
        rejects: RejectsFile | None,
    ) -> None:
        self.account = account
        #: When the first request was sent and when the result was published, by
        #: `time.perf_counter`.
        self.began = self.ended = 0.0
        #: CPU seconds of this process in between.
        self.cpu_s = 0.0
        self._settings = settings
        self._publication = publication
        self._target = target
        self._given_addresses = addresses
        self._servers = servers
        self._rereading = rereading
        self._channel_to = channel_to
        self._on_message = on_message
        self._window = window
        self._recovery = recovery
        self._rejects = rejects
        for name, replicas in self._addresses.items():
            self.account.stages[name].replicas = len(replicas)

    @property
    def _addresses(self) -> dict[str, list[str]]:
        """The addresses of the servers of each stage, as they are now."""
        started = self._servers.addresses
        return {
            name: [*self._given_addresses.get(name, ()), *started[name]]
            for name in self._settings.workload.stage_names
        }

    async def drive(self) -> None:
        """Move every batch from ingest through all stages, then publish.

        If the sink is lost before it publishes, the run begins again.
        """
        losses = 0
        while True:
            try:
                await self._drive_once()
            except LostSinkError as error:
                if self._rereading is None or losses == self._recovery.retries:
                    raise lost_for_good(error, losses) from error
                await asyncio.sleep(backoff_s(losses))
                losses += 1
                await self._begin_again(self._rereading, error)
            else:
                return

    async def _begin_again(self, rereading: Rereading, error: LostSinkError) -> None:
        """Replace the sink, and other servers that have ended; forget the records.

        Raises:
            SourceError: The input has changed meanwhile.
            SinkError: The rejects can't be thrown away.
            StageError: A server does not start.
        """
        rereading.check()
        (sink,) = self._addresses[SINK]
        for address in {sink, *self._servers.ended}:
            await replace_server(self._servers, address)
        if self._rejects is not None:
            self._rejects.begin_again()
        settled = self.account.progress.batches
        self.account = self.account.anew()
        self.account.stages[SINK].lose(settled, error.reason)

    async def _drive_once(self) -> None:
        """Drive the run until it is published or fails.

        Raises:
            LostSinkError: The sink is lost before it publishes.
        """
        async with AsyncExitStack() as stack:
            # Entered first, so that it runs last: when the channels are closed.
            stack.push_async_callback(wait_for_calls)
            connections = await stack.enter_async_context(
                Connections(
                    self._servers, self._channel_to, self.account, self._on_message
                )
            )
            first, *middle, last = [
                [connections.connect(name, address) for address in addresses]
                for name, addresses in self._addresses.items()
            ]
            await self._check(chain(first, *middle, last))
            cpu = ProcessClock()
            self.began = self.began or time.perf_counter()

            pacer = None
            if self._settings.sizes_batches:
                pacer = Pacer(first[0].channel, sum(map(len, (*middle, last))))
            ingest = self._ingest(first[0], pacer, connections)
            poison = Poison(
                self._settings.workload, self.account, self._recovery.max_poison
            )
            legs = [
                [self._transform_leg(each, pacer, connections, poison) for each in them]
                for them in middle
            ]
            recovers = self._recovery.retries > 0
            transforms = [
                Replicas(each, self._window, outlive_loss=recovers) for each in legs
            ]
            sink = self._sink(last, pacer)
            watchdog = Watchdog(
                [ingest, *chain(*legs), sink], self._recovery.stage_timeout_s
            )
            await stack.enter_async_context(watchdog.watching())
            await ingest.open()
            await sink.open()
            try:
                if pacer is not None:
                    await pacer.open()
                await relay_all(ingest, transforms, sink)
                if pacer is not None:
                    await pacer.close()
                check_end(self.account, self._settings)
                # From here on, its loss is no more reason to begin again.
                await sink.check(self._recovery.stage_timeout_s)
                if self._rejects is not None:
                    self._rejects.prepare()
                self._settings.on_publish()
                # An interrupt from before cancels this task at its next wait, which
                # must not be the one in which the sink publishes.
                await asyncio.sleep(0)
            except BaseException:
                await sink.abandon()
                raise
            batches = self.account.batches + sum(each.added for each in transforms)
            await self._commit(sink, last, batches)
            if self._rejects is not None:
                self._rejects.publish()
            self.ended, self.cpu_s = time.perf_counter(), cpu.lap() / 1e9

    async def _check(self, connections: Iterable[StageConnection]) -> None:
        """Check that the servers answer; a sink that was lost may need time for that.

        Raises:
            LostSinkError: The sink was lost, and not all servers answer yet.
            StageError: A server does not answer.
        """
        try:
            await check_all(connections)
        except StageError as error:
            if not self.account.stages[SINK].recoveries:
                raise
            raise LostSinkError(str(error)) from error

    def _ingest(
        self, connection: StageConnection, pacer: Pacer | None, connections: Connections
    ) -> RecoveringIngest:
        """Return a leg to ingest, and to those that replace it."""
        earlier = self.account.batches

        def leg() -> IngestLeg:
            return IngestLeg(connection, self._read_request(pacer), self.account)

        async def reopen(reason: str) -> IngestLeg:
            nonlocal connection
            if self._rereading is not None:
                self._rereading.check()
            batch = self.account.batches
            connection = await connections.reconnect(connection, batch, reason)
            if pacer is not None:
                received = self.account.batches - earlier
                await pacer.reopen(connection.channel, received)
            replaced = leg()
            await replaced.open()
            return replaced

        retries = 0 if self._rereading is None else self._recovery.retries
        return RecoveringIngest(leg(), reopen, retries)

    def _transform_leg(
        self,
        connection: StageConnection,
        pacer: Pacer | None,
        connections: Connections,
        poison: Poison,
    ) -> RecoveringLeg:
        """Return a leg to the server of ``connection``, and to those after it."""

        def leg_to(connection: StageConnection) -> TransformLeg:
            if pacer is None:
                return TransformLeg(connection)
            return TransformLeg(connection, pacer.observer_of(connection.stage))

        async def reopen(batch: int | None, reason: str) -> TransformLeg:
            nonlocal connection
            connection = await connections.reconnect(connection, batch, reason)
            return leg_to(connection)

        search = partial(poison.search, connection.stage)
        return RecoveringLeg(
            leg_to(connection), reopen, self._recovery.retries, search=search
        )

    def _read_request(self, pacer: Pacer | None) -> ReadRequest:
        settings = self._settings
        # An ingest that serves no credit keeps these, also if there is a pacer.
        limits = settings.fixed_limits
        request = ReadRequest(
            batch_records=limits.records,
            batch_bytes=limits.bytes,
            max_records=settings.max_records,
            linger_ns=_linger_ns(limits.linger_s),
            run=pacer.run if pacer else "",
        )
        wire.pack(settings.source, into=request.source)
        if self.account.ingested:
            request.position.CopyFrom(
                Position(batches=self.account.batches, records=self.account.ingested)
            )
        return request

    def _sink(
        self, connections: Sequence[StageConnection], pacer: Pacer | None
    ) -> SinkLeg | FoldLeg:
        settle = partial(self._settle, pacer)
        if self._publication is None:
            return SinkLeg(connections[0], self._target, settle)
        return FoldLeg(self._publication, self.account.stages[SINK], settle)

    async def _commit(
        self,
        sink: SinkLeg | FoldLeg,
        connections: Sequence[StageConnection],
        batches: int,
    ) -> None:
        """Publish the result of so many batches."""
        reply = sink.commit(batches, self.account.passed)
        if isinstance(sink, FoldLeg):
            await reply
            return
        end_sink = partial(self._servers.end, connections[0].address)
        error = await commit(reply, self._settings.output, end_sink)
        if error is not None:
            self.account.stages[SINK].lose(None, error.reason)

    async def _settle(self, pacer: Pacer | None, batch: InFlightBatch) -> None:
        self.account.settle(batch.message.records, batch.filtered, batch.rejections)
        self._settings.on_settled(self.account)
        if pacer is not None and batch.is_last:
            await pacer.settle()


def _linger_ns(linger_s: float | None) -> int:
    """Return a linger in nanoseconds: 0 for none, and at least 1 for any other."""
    if linger_s is None:
        return 0
    # At most 292 years, so that it fits the field.
    return round(min(max(linger_s * 1e9, 1), 2**63))
