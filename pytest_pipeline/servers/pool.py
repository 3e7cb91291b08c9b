"""The servers of a test session: started together, and all ended with it."""

from __future__ import annotations

import contextlib
import os
import pickle
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import grpc

from pipeline.errors import PipelineError, UsageError, one_line
from pipeline.stage import Stage, Workload
from pipeline.transport.folders import ServedFolders
from pipeline.transport.processes import new_folder, serve_command
from pipeline.transport.server import StageServer
from pipeline.transport.stubs import stub_type
from pytest_pipeline.options import PipelineSettings, is_address
from pytest_pipeline.servers.certificates import Certificates
from pytest_pipeline.servers.handle import Server
from pytest_pipeline.servers.hosts import (
    ExternalHost,
    Host,
    InProcessHost,
    ProcessHost,
    RunningServer,
)
from pytest_pipeline.servers.pause_gate import PauseGate, PauseInterceptor
from pytest_pipeline.servers.servicers import (
    AddToServer,
    UserServicer,
    servicer_of,
    stub_of,
)

StubType = Callable[[grpc.Channel], Any]


@dataclass(frozen=True)
class _Key:
    """What makes two servers of a stage the same."""

    workload: str
    stage: str
    replica: int
    hosting: str
    transport: str
    serving: str | None


class ServerPool:
    """Starts servers, knows all that are up, and ends them.

    Ingest may read, and the sink may write, below ``served``.
    """

    def __init__(self, served: Path) -> None:
        self.servers: list[Server] = []
        self._served = served
        self._folder = new_folder()
        self._stages: dict[_Key, Server] = {}
        self._names: dict[str, int] = {}

    @cached_property
    def _certificates(self) -> Certificates:
        return Certificates(self._folder)

    def stages(
        self,
        settings: PipelineSettings,
        workload: Workload,
        names: Sequence[str],
        replica: int = 0,
    ) -> dict[str, Server]:
        """Return servers of these stages, started together if they are not up yet.

        Raises UsageError for a stage that the workload does not have, StageError where
        a server does not start.
        """
        for name in (*names, *settings.stages):
            if name not in workload.stage_names:
                known = ", ".join(workload.stage_names)
                raise UsageError(
                    f"stage {name!r}: workload {workload.name} has {known}"
                )
        keys = {
            name: _Key(
                workload.name,
                name,
                replica,
                settings.servers,
                settings.transport,
                settings.stages.get(name),
            )
            for name in names
        }
        missing = {
            key: self._server(
                name,
                self._stage_host(settings, workload, name),
                settings,
                stub_type(name),
            )
            for name, key in keys.items()
            if key not in self._stages
        }
        self._start(list(missing.values()))
        self._stages |= missing
        return {name: self._stages[key] for name, key in keys.items()}

    def replicated(
        self,
        settings: PipelineSettings,
        workload: Workload,
        replicas: Mapping[str, int],
    ) -> dict[str, list[Server]]:
        """Return the servers of each stage, one where ``replicas`` does not name it.

        Raises as `stages`.
        """
        names = workload.stage_names
        found: dict[str, list[Server]] = {name: [] for name in names}
        for replica in range(max(1, *replicas.values(), 1)):
            wanted = [name for name in names if replica < replicas.get(name, 1)]
            for name, server in self.stages(
                settings, workload, wanted, replica
            ).items():
                found[name].append(server)
        return found

    def serve(
        self,
        what: Any,
        settings: PipelineSettings,
        *,
        name: str | None = None,
        add_to_server: AddToServer | None = None,
        stub: StubType | None = None,
    ) -> Server:
        """Start a server of an address, a command, a stage or a servicer.

        Of the first two the stub is that of the stage contract unless one is given.

        Raises UsageError where it is none of these, StageError where it does not start.
        """
        if isinstance(what, str) and is_address(what):
            label = name or what
            host: Host = ExternalHost(label, what)
            stub = stub or stub_type(label)
        elif isinstance(what, str | list | tuple):
            command = shlex.split(what) if isinstance(what, str) else list(what)
            label = name or Path(command[0]).name
            host = self._command_host(label, command)
            stub = stub or stub_type(label)
        else:
            servicer = servicer_of(what, add_to_server)
            label = name or (
                what.name if isinstance(what, Stage) else type(what).__name__
            )
            host = self._servicer_host(label, servicer, settings)
            stub = stub or stub_of(servicer)
        server = self._server(label, host, settings, stub)
        self._start([server])
        return server

    def serve_stage(
        self, stage: str, workload: Workload, settings: PipelineSettings
    ) -> Server:
        """Start a server of a stage that is nobody else's; see `stages`."""
        host = self._stage_host(settings, workload, stage)
        server = self._server(stage, host, settings, stub_type(stage))
        self._start([server])
        return server

    def channel_credentials(
        self, settings: PipelineSettings
    ) -> grpc.ChannelCredentials | None:
        """Return what channels trust under TLS, None for another transport."""
        if settings.transport != "tls":
            return None
        roots = [] if settings.servers == "external" else [self._certificates.root]
        if settings.tls_root:
            roots.append(settings.tls_root)
        try:
            return grpc.ssl_channel_credentials(
                b"\n".join(root.read_bytes() for root in roots)
            )
        except OSError as error:
            raise UsageError(
                f"--pipeline-tls-root {settings.tls_root}: {one_line(error)}"
            ) from error

    def reset(self) -> None:
        """Bring back what the last test has used."""
        for server in self.servers:
            if server.used:
                server.reset()

    def close_channels(self) -> None:
        """Close the channels that a test has had."""
        for server in self.servers:
            server.close_channel()

    def release(self, server: Server) -> None:
        """End a server."""
        if server in self.servers:
            self.servers.remove(server)
            server.close()

    def close(self) -> None:
        """End all of them, and leave nothing behind."""
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
            for server in self.servers:
                stack.callback(server.close)
        self.servers.clear()
        self._stages.clear()

    def _start(self, servers: Sequence[Server]) -> None:
        """Start servers side by side; end all of them where one does not start."""
        try:
            for server in servers:
                server.launch()
            for server in servers:
                server.wait_ready()
        except BaseException:
            for server in servers:
                with contextlib.suppress(PipelineError):
                    server.close()
            raise
        self.servers.extend(servers)

    def _server(
        self,
        name: str,
        host: Host,
        settings: PipelineSettings,
        stub: StubType | None,
    ) -> Server:
        under_tls = settings.transport == "tls" and not host.address.startswith("unix:")
        return Server(
            name,
            host,
            stub_type=stub,
            credentials=self.channel_credentials(settings) if under_tls else None,
            start_timeout_s=settings.start_timeout,
        )

    def _stage_host(
        self, settings: PipelineSettings, workload: Workload, stage: str
    ) -> Host:
        serving = settings.stages.get(stage)
        if serving is not None and is_address(serving):
            return ExternalHost(stage, serving)
        if serving is not None:
            return self._command_host(stage, shlex.split(serving))
        if settings.servers == "external":
            raise UsageError(
                f"--pipeline-servers external: where is stage {stage}? Give "
                f"--pipeline-stage {stage}=ADDRESS"
            )
        bind = self._bind(settings)
        if settings.servers == "subprocess":
            return self._python_host(
                stage,
                lambda at: serve_command(
                    workload.name, stage, bind=at, folders=[self._served]
                ),
                settings,
            )
        credentials = self._server_credentials(settings)
        label = self._unique(stage)

        def start(bind: str, gate: PauseGate) -> RunningServer:
            return StageServer(
                workload,
                stage,
                bind,
                ServedFolders([self._served]),
                credentials,
                [PauseInterceptor(gate)],
                label=label,
            )

        return InProcessHost(label, start, bind)

    def _servicer_host(
        self, name: str, servicer: UserServicer, settings: PipelineSettings
    ) -> Host:
        if settings.servers == "subprocess":
            pickled = self._folder / f"{self._unique('servicer')}.pickle"
            pickled.write_bytes(_pickled(name, servicer))
            return self._python_host(
                name,
                lambda at: [
                    *(sys.executable, "-P", "-m", "pytest_pipeline.servers.child"),
                    *(name, str(pickled), "--bind", at),
                ],
                settings,
            )
        if settings.servers == "external":
            raise UsageError(
                f"--pipeline-servers external: {name} is a servicer, which "
                f"somebody has to serve; give stage_server(servers='inprocess')"
            )
        credentials = self._server_credentials(settings)
        label = self._unique(name)
        return InProcessHost(
            label,
            lambda bind, gate: servicer.serve(label, bind, credentials, gate),
            self._bind(settings),
        )

    def _command_host(self, name: str, command: Sequence[str]) -> Host:
        return ProcessHost(
            name, lambda _: command, "", self._log_of(name), lifeline=False
        )

    def _python_host(
        self,
        name: str,
        command: Callable[[str], Sequence[str]],
        settings: PipelineSettings,
    ) -> Host:
        """Return a process that finds the modules that this one finds."""
        options: Sequence[str] = ()
        if settings.transport == "tls":
            own = self._certificates
            options = (
                *("--tls-certificate", str(own.certificate)),
                *("--tls-key", str(own.key)),
            )
        environment: Mapping[str, str] = {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)
        }
        return ProcessHost(
            name,
            lambda at: [*command(at), *options],
            self._bind(settings),
            self._log_of(name),
            lifeline=True,
            environment=environment,
        )

    def _server_credentials(
        self, settings: PipelineSettings
    ) -> grpc.ServerCredentials | None:
        return self._certificates.of_server if settings.transport == "tls" else None

    def _bind(self, settings: PipelineSettings) -> str:
        if settings.transport == "unix":
            return f"unix:{self._folder / self._unique('s')}"
        return "127.0.0.1:0"

    def _log_of(self, name: str) -> Path:
        return self._folder / f"{self._unique(name.replace(os.sep, '-'))}.log"

    def _unique(self, name: str) -> str:
        """Return a name that nothing else of this pool has."""
        count = self._names[name] = self._names.get(name, 0) + 1
        return name if count == 1 else f"{name}-{count}"


def _pickled(name: str, servicer: UserServicer) -> bytes:
    try:
        return pickle.dumps(servicer)
    except Exception as error:
        raise UsageError(
            f"{name}: can't be sent to a process of its own ({one_line(error)}); "
            f"define it at the top of a module, or give "
            f"stage_server(servers='inprocess')"
        ) from error
