"""The split engine: it starts stage servers, and relays batches between them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from itertools import chain

from pipeline.accounting import RunAccount, RunReport
from pipeline.clock import ProcessClock
from pipeline.engines.base import RunSettings, check_end
from pipeline.engines.calls import OnMessage, StageConnection
from pipeline.engines.commit import commit
from pipeline.engines.fold import FoldLeg
from pipeline.engines.interruption import run_until_interrupted
from pipeline.engines.legs import InFlightBatch, IngestLeg, SinkLeg, TransformLeg
from pipeline.engines.pacing import Pacer
from pipeline.engines.poison import Poison
from pipeline.engines.publication import Publication, open_publication, open_rejects
from pipeline.engines.recovery import RecoveringLeg, Recovery
from pipeline.engines.relay import relay_all
from pipeline.engines.replicas import Replicas
from pipeline.engines.served_files import served_folders, sink_target
from pipeline.engines.watchdog import Watchdog
from pipeline.engines.window import WindowLimits
from pipeline.errors import UsageError
from pipeline.inputs import STANDARD_INPUT, separate_paths
from pipeline.publishing import sweep_drafts
from pipeline.rejects import RejectsFile
from pipeline.stages import INGEST, SINK
from pipeline.transport import wire
from pipeline.transport.client import Channel
from pipeline.transport.grpcio import ChannelCredentials, GrpcChannel
from pipeline.transport.health import check_health
from pipeline.transport.processes import StageServers, Transport
from pipeline.transport.workarounds import wait_for_calls
from pipeline.urls import is_url
from pipeline.v1.pipeline_pb2 import ReadRequest
from pipeline.workload import Workload


class SplitEngine:
    """Runs a workload on stage servers: one process a stage, or several replicas.

    `run` runs an event loop of its own, so it can't be called from inside one.

    Args:
        addresses: Addresses of servers that run already, by stage. The engine starts
            the other servers, and stops them however the run ends.
        replicas: How many servers each transform stage has; 1 for those not named.
        programs: The program of each stage that this package does not serve; see
            `serve_command`.
        transport: How the servers that the engine starts are reached.
        window: The most that may be in flight at each transform stage.
        recovery: How far the run goes to replace a server that is lost.
        start_timeout_s: Seconds that the servers have to start.
        credentials: Use TLS for those of ``addresses`` that are HOST:PORT.
        on_message: Called for each batch that crosses a leg.
    """

    name = "split"

    def __init__(
        self,
        addresses: Mapping[str, str | Sequence[str]] | None = None,
        *,
        replicas: Mapping[str, int] | None = None,
        programs: Mapping[str, Sequence[str]] | None = None,
        transport: Transport = "unix",
        window: WindowLimits | None = None,
        recovery: Recovery | None = None,
        start_timeout_s: float = 30.0,
        credentials: ChannelCredentials | None = None,
        on_message: OnMessage = lambda *_: None,
    ) -> None:
        self._credentials = credentials
        self._on_message = on_message
        self._addresses = {
            name: [given] if isinstance(given, str) else list(given)
            for name, given in (addresses or {}).items()
        }
        self._replicas = dict(replicas or {})
        self._programs = dict(programs or {})
        self._transport: Transport = transport
        self._window = window or WindowLimits()
        self._recovery = recovery or Recovery()
        self._start_timeout_s = start_timeout_s

    def run(self, settings: RunSettings) -> RunReport:
        """Run to the end, as `Engine.run` says."""
        started = time.perf_counter()
        missing = self._missing(settings.workload)
        if settings.checkpoint is not None:
            self._check_ends_are_here()
            missing.remove(SINK)  # this process writes the result
        reads_urls = any(map(is_url, separate_paths(settings.input)))
        if reads_urls and INGEST in self._programs:
            raise UsageError("stage ingest opens URLs only in Python; serve it so")
        is_local = SINK not in self._addresses
        target = sink_target(settings.output, is_local=is_local)
        # Left last: when the servers have ended, nobody publishes the result any more.
        with ExitStack() as stack:
            if is_local:
                # A sink that was killed has left one.
                stack.callback(sweep_drafts, settings.output)
            publication = None
            if settings.checkpoint is not None:
                publication = stack.enter_context(open_publication(settings))
                account, rejects = publication.account, publication.rejects
            else:
                rejects = stack.enter_context(
                    open_rejects(settings, sees_result=is_local)
                )
                account = RunAccount(settings.workload.stage_names, rejects)
            servers = stack.enter_context(
                StageServers(
                    settings.workload.name,
                    missing,
                    transport=self._transport,
                    folders=served_folders(settings),
                    programs=self._programs,
                    standard_input=STANDARD_INPUT in separate_paths(settings.input),
                    urls=reads_urls,
                    start_timeout_s=self._start_timeout_s,
                )
            )
            run = _Run(
                settings,
                account=account,
                publication=publication,
                target=target,
                addresses={
                    name: self._addresses.get(name, []) + servers.addresses[name]
                    for name in settings.workload.stage_names
                },
                servers=servers,
                channel_to=self._channel,
                on_message=self._on_message,
                window=self._window,
                recovery=self._recovery,
                rejects=rejects,
            )
            run_until_interrupted(run.drive())
            if publication is not None:
                publication.remove_checkpoint()
        return run.account.report(
            workload=settings.workload.name,
            engine=self.name,
            batch_size=settings.batch_size,
            elapsed_s=run.ended - run.began,
            startup_s=run.began - started,
            cpu_s=run.cpu_s,
            one_process=False,
        )

    def _channel(self, stage: str, address: str) -> Channel:
        remote = address in self._addresses.get(stage, ())
        secure = remote and not address.startswith("unix:")
        return GrpcChannel(address, self._credentials if secure else None)

    def _check_ends_are_here(self) -> None:
        """Check that the input is read here, and that the result is written here.

        Raises:
            UsageError: A server elsewhere, or in another language, does so.
        """
        for name in (INGEST, SINK):
            if name in self._addresses or name in self._programs:
                raise UsageError(
                    f"stage {name}: can't have an address or another language in a run "
                    f"with a checkpoint"
                )

    def _missing(self, workload: Workload) -> list[str]:
        """Return the stages to start a server for, once for each replica.

        Raises:
            UsageError: The addresses or replicas do not fit the workload.
        """
        names = workload.stage_names
        for name in (*self._addresses, *self._replicas):
            if name not in names:
                raise UsageError(
                    f"stage {name!r}: workload {workload.name} has {', '.join(names)}"
                )
        missing = []
        for name in names:
            addresses = self._addresses.get(name, [])
            given = len(addresses)
            if len(set(addresses)) < given:
                raise UsageError(
                    f"stage {name}: two of its addresses are the same; replicas are "
                    f"servers of their own"
                )
            count = self._replicas.get(name, max(1, given))
            if count < max(1, given):
                raise UsageError(
                    f"stage {name}: {count} replicas asked for; must be "
                    f"{max(1, given)} or more, the number of its addresses"
                )
            if count > 1 and name in (INGEST, SINK):
                raise UsageError(
                    f"stage {name}: {count} replicas asked for; only transform stages "
                    f"can have them"
                )
            missing += [name] * (count - given)
        if missing and not workload.name:
            raise UsageError(
                "the workload has no name for its servers to find it by; get it from "
                "workload_named, or name it package.module:name"
            )
        return missing


class _Run:
    """The orchestrator of one run."""

    def __init__(
        self,
        settings: RunSettings,
        *,
        account: RunAccount,
        publication: Publication | None,
        target: str,
        addresses: Mapping[str, Sequence[str]],
        servers: StageServers,
        channel_to: Callable[[str, str], Channel],
        on_message: OnMessage,
        window: WindowLimits,
        recovery: Recovery,
        rejects: RejectsFile | None,
    ) -> None:
        self.account = account
        for name, replicas in addresses.items():
            self.account.stages[name].replicas = len(replicas)
        self.began = self.ended = 0.0
        self.cpu_s = 0.0
        self._settings = settings
        self._publication = publication
        self._target = target
        self._addresses = addresses
        self._servers = servers
        self._channel_to = channel_to
        self._on_message = on_message
        self._window = window
        self._recovery = recovery
        self._poison = Poison(settings.workload, self.account, recovery.max_poison)
        self._rejects = rejects

    async def drive(self) -> None:
        """Move every batch from ingest through all stages, then publish."""
        async with AsyncExitStack() as stack:
            # Entered first, so that it runs last: when the channels are closed.
            stack.push_async_callback(wait_for_calls)
            first, *middle, last = [
                [await self._connect(name, address, stack) for address in addresses]
                for name, addresses in self._addresses.items()
            ]
            checks = await asyncio.gather(
                *(
                    check_health(
                        connection.stage, connection.address, connection.channel
                    )
                    for connections in (first, *middle, last)
                    for connection in connections
                ),
                # Of several that fail, the first in order is named, not in time.
                return_exceptions=True,
            )
            for failure in checks:
                if failure is not None:
                    raise failure
            self.began, cpu = time.perf_counter(), ProcessClock()

            pacer = None
            if self._settings.sizes_batches:
                pacer = Pacer(first[0].channel, sum(map(len, (*middle, last))))
            ingest = IngestLeg(first[0], self._read_request(pacer), self.account)
            legs = [
                [self._transform_leg(each, pacer, stack) for each in connections]
                for connections in middle
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

    async def _connect(
        self, stage: str, address: str, stack: AsyncExitStack
    ) -> StageConnection:
        channel = self._channel_to(stage, address)
        stack.push_async_callback(channel.close)
        return StageConnection(
            stage,
            address,
            channel,
            self.account.stages[stage],
            lambda: self._servers.exit_summary(address),
            lambda: self._servers.kill(address),
            self._on_message,
        )

    def _transform_leg(
        self, connection: StageConnection, pacer: Pacer | None, stack: AsyncExitStack
    ) -> RecoveringLeg:
        """Return a leg to the server of ``connection``, and to those after it."""

        def leg_to(connection: StageConnection) -> TransformLeg:
            if pacer is None:
                return TransformLeg(connection)
            return TransformLeg(connection, pacer.observer_of(connection.stage))

        async def reopen() -> TransformLeg:
            nonlocal connection
            connection = await self._reconnect(connection, stack)
            return leg_to(connection)

        search = partial(self._poison.search, connection.stage)
        return RecoveringLeg(
            leg_to(connection), reopen, self._recovery.retries, search=search
        )

    async def _reconnect(
        self, lost: StageConnection, stack: AsyncExitStack
    ) -> StageConnection:
        """Replace the server of a connection that is lost, and connect to the new one.

        A server that was started elsewhere is only connected to again.

        Raises:
            StageError: It does not start, or nobody answers.
        """
        lost.account.recoveries += 1
        # It may have had a connection to a proxy or load balancer that is dead.
        await lost.channel.close()
        try:
            address = await asyncio.to_thread(self._servers.replace, lost.address)
        except asyncio.CancelledError:
            # So that nobody waits until it is ready.
            self._servers.kill(lost.address)
            raise
        connection = await self._connect(lost.stage, address, stack)
        await check_health(connection.stage, connection.address, connection.channel)
        return connection

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
        if self._publication is not None and self._publication.position.records:
            request.position.CopyFrom(self._publication.position)
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
        if not await commit(reply, self._settings.output, end_sink):
            self.account.stages[SINK].recoveries += 1

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
