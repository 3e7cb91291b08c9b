"""The split engine: it starts stage servers, and has a run orchestrated on them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from pipeline.accounting import RunAccount, RunReport
from pipeline.engines.base import RunSettings
from pipeline.engines.calls import OnMessage
from pipeline.engines.interruption import run_until_interrupted
from pipeline.engines.orchestrator import Orchestrator
from pipeline.engines.publication import open_publication, open_rejects
from pipeline.engines.recovery import Recovery
from pipeline.engines.rereading import Rereading
from pipeline.engines.served_files import served_folders, sink_target
from pipeline.engines.window import WindowLimits
from pipeline.errors import UsageError
from pipeline.inputs import STANDARD_INPUT, separate_paths
from pipeline.publishing import sweep_drafts
from pipeline.stages import INGEST, SINK
from pipeline.transport.client import Channel
from pipeline.transport.grpcio import ChannelCredentials, GrpcChannel
from pipeline.transport.processes import StageServers, Transport
from pipeline.urls import is_url
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
            run = Orchestrator(
                settings,
                account=account,
                publication=publication,
                target=target,
                addresses=self._addresses,
                servers=servers,
                rereading=self._rereading(settings),
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

    def _rereading(self, settings: RunSettings) -> Rereading | None:
        """Return how the input is read again; None if a lost server fails the run.

        An ingest elsewhere may have other files at these paths, and one in another
        language may not know how to go on in their midst.
        """
        is_here = INGEST not in self._addresses and INGEST not in self._programs
        if not is_here or not self._recovery.retries:
            return None
        return Rereading.of(settings)

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
