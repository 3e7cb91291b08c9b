"""The engines that are compared with the monolith: the split, and clusters."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Literal, Self

import grpc

from pipeline.engines.base import Engine
from pipeline.engines.distributed.engine import DistributedEngine
from pipeline.engines.distributed.executor import SerialExecutor
from pipeline.engines.monolith import MonolithEngine
from pipeline.engines.named import engine_named
from pipeline.engines.recovery import NO_RECOVERY
from pipeline.engines.split import SplitEngine
from pipeline.engines.window import WindowLimits
from pipeline.stages import INGEST, SINK
from pipeline.transport.folders import ServedFolders
from pipeline.transport.processes import new_folder
from pipeline.transport.server import StageServer
from pipeline.workload import Workload
from pytest_pipeline.invariance.comparison import EngineComparison, Outcome
from pytest_pipeline.invariance.partitioned_stream import PartitionedStream

# So few that most short streams become several parts, and some parts several batches.
_FED_BYTES = 250
_WORKERS = 2


class SplitStages:
    """Servers of all stages of a workload, which run partitioned streams.

    A context manager that stops the servers at its end. They run in threads of this
    process.

    Args:
        workload: the workload.
        addresses: the addresses of stages that are served elsewhere, by stage name.
        credentials: the credentials for channels to the servers.
        transport: what the servers listen on.
        replicas: the number of servers of each transform stage that is started here.

    Raises:
        StageError: a server can't be started.

    Example::

        with SplitStages(EVENTS, replicas=2) as stages:
            stages.check(PartitionedStream(EVENTS, sample(EVENTS), (1, 9)))
    """

    def __init__(
        self,
        workload: Workload,
        *,
        addresses: Mapping[str, str] | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        transport: Literal["unix", "tcp"] = "unix",
        replicas: int = 1,
    ) -> None:
        self._credentials = credentials
        self._addresses: dict[str, list[str]] = {
            stage: [address] for stage, address in (addresses or {}).items()
        }
        with ExitStack() as stack:
            self._folder = new_folder()
            stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
            self._comparison = EngineComparison(workload, self._folder)
            self.workload = self._comparison.workload
            for stage in self.workload.stage_names:
                if stage in self._addresses:
                    continue
                count = 1 if stage in (INGEST, SINK) else replicas
                servers = [
                    StageServer(
                        self.workload,
                        stage,
                        f"unix:{self._folder / f'{stage}{number}'}"
                        if transport == "unix"
                        else "127.0.0.1:0",
                        ServedFolders([self._folder]),
                    )
                    for number in range(count)
                ]
                for server in servers:
                    stack.callback(server.drain, 0.0)
                self._addresses[stage] = [server.address for server in servers]
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def split(
        self, partitioned: PartitionedStream, window: WindowLimits | None = None
    ) -> Outcome:
        """Run a stream on the servers."""
        return self._comparison.outcome(self._engine(window), partitioned)

    def monolith(self, partitioned: PartitionedStream) -> Outcome:
        """Run a stream with the monolith, in this thread."""
        return self._comparison.outcome(MonolithEngine(), partitioned)

    def check(
        self, partitioned: PartitionedStream, window: WindowLimits | None = None
    ) -> Outcome:
        """Run a stream with both engines and compare the outcomes.

        Args:
            partitioned: the stream.
            window: the limits of batches in flight in the split.

        Returns:
            The outcome of the split.

        Raises:
            InvarianceError: see `EngineComparison.check`.
        """
        return self._comparison.check(self._engine(window), partitioned)

    def _engine(self, window: WindowLimits | None) -> SplitEngine:
        return SplitEngine(
            self._addresses,
            window=window,
            recovery=NO_RECOVERY,
            credentials=self._credentials,
        )


@contextmanager
def cluster_engine(name: str) -> Iterator[Engine]:
    """Yield an engine of the entry points, on two workers that serve all its runs.

    Raises:
        PipelineError: there is none, or its workers can't be started.
    """
    engine = engine_named(name)(workers=_WORKERS)
    if not isinstance(engine, DistributedEngine):
        yield engine
        return
    with engine.opened(fed_bytes=_FED_BYTES) as opened:
        yield opened


def serial_engine() -> Engine:
    """Return the distributed engine, with parts that run one by one in this thread."""
    return DistributedEngine(
        "distributed", lambda: nullcontext(SerialExecutor()), fed_bytes=_FED_BYTES
    )
