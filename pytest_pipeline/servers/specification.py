"""Specifications: everything that a server is started from, in one frozen value.

The fixtures turn settings into specifications here. What starts, shares and ends
servers (pool, handle, hosts) reads the specification and never the settings.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import grpc

from pipeline.errors import UsageError, one_line
from pipeline.languages import programs_of
from pipeline.stages import Stage
from pipeline.transport.stubs import IngestStub, SinkStub, StageStub, stub_type
from pipeline.workload import Workload
from pipeline.workloads import workload_named
from pytest_pipeline.options import (
    TLS_TRANSPORTS,
    Hosting,
    PipelineSettings,
    Transport,
    is_address,
)
from pytest_pipeline.servers.arguments import (
    CHANNEL_DEFAULTS,
    SERVER_DEFAULTS,
    ChannelArguments,
    ServerArguments,
)
from pytest_pipeline.servers.handlers import AddToServer
from pytest_pipeline.servers.servicers import (
    UserServicer,
    servicer_of,
    stub_of,
)

StubType = Callable[[grpc.Channel], Any]

# Not ${folder}, which is a variable of a shell.
_FOLDER = re.compile(r"(?<!\$)\{folder\}")
_NO_REPLICAS: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True)
class WorkloadStage:
    """A stage of a workload, served by this package or by a program."""

    stage: str
    workload_name: str
    workload: Workload = field(compare=False, repr=False)
    #: The words that start a program with the options of `pipeline serve`; none for
    #: this package.
    program: tuple[str, ...] = ()


@dataclass(frozen=True)
class Command:
    """A command that starts a server and prints the start-up handshake."""

    #: The program and its arguments. ``{folder}`` in them stands for the folder that an
    #: ingest or a sink is to serve.
    words: tuple[str, ...]

    @property
    def takes_folder(self) -> bool:
        """Whether ``{folder}`` is in the command."""
        return any(_FOLDER.search(word) for word in self.words)

    def words_for(self, folder: Path) -> list[str]:
        """Return the words with the path of the folder in place of ``{folder}``."""
        return [_FOLDER.sub(lambda _: str(folder), word) for word in self.words]


@dataclass(frozen=True)
class Address:
    """The address of a running server: ``HOST:PORT`` or ``unix:PATH``."""

    text: str


@dataclass(frozen=True)
class ServerSpec:
    """What one server is started from, or reached by if it already runs.

    A pool shares one server among equal specifications.
    """

    #: The name of the server in errors and reports.
    name: str
    what: WorkloadStage | UserServicer | Command | Address
    hosting: Hosting
    transport: Transport
    #: Distinguishes the servers of one stage; counted from 0.
    replica: int = 0
    #: Makes the client of the service from a channel; None if it is unknown.
    stub_type: StubType | None = field(default=None, compare=False)
    #: Seconds that the server has to become ready.
    start_timeout_s: float = field(default=30.0, compare=False)
    #: Whether the server keeps the contract of stages, and channels to it have the
    #: options of the contract. Channels to any other service have gRPC's defaults.
    keeps_contract: bool = field(default=True, compare=False)
    #: What channels to the server are given.
    channel: ChannelArguments = field(default=CHANNEL_DEFAULTS, compare=False)
    #: Whether the server is ready when its health service says so; otherwise it is
    #: when it accepts a connection.
    health_check: bool = field(default=True, compare=False)
    #: Under TLS: whether channels trust the certificates made for this session.
    trusts_session: bool = field(default=True, compare=False)
    #: Under TLS: a PEM file of root certificates that channels trust as well.
    tls_root: Path | None = field(default=None, compare=False)

    @property
    def serves_folder(self) -> bool:
        """Whether the server is told a folder whose files it is to serve."""
        what = self.what
        if isinstance(what, Command):
            return what.takes_folder
        return isinstance(what, WorkloadStage)


def stage_specs(
    settings: PipelineSettings,
    workload: Workload,
    stages: Iterable[str] | None = None,
    *,
    replicas: Mapping[str, int] = _NO_REPLICAS,
) -> list[ServerSpec]:
    """Specify the servers of several stages of one workload.

    Args:
        settings: The settings of the test.
        workload: The workload that the stages belong to.
        stages: Names of stages; all stages of the workload by default.
        replicas: Number of servers for each stage; 1 for a stage that is not named.

    Returns:
        The specifications, in the order of ``stages``.

    Raises:
        UsageError: The workload has no such stage, or the settings name a server for a
            stage that it does not have, or name none where servers are external.
    """
    names = workload.stage_names if stages is None else tuple(stages)
    for name in (*names, *settings.serving):
        if name not in workload.stage_names:
            known = ", ".join(workload.stage_names)
            raise UsageError(f"stage {name!r}: workload {workload.name} has {known}")
    return [
        stage_spec(settings, workload, name, replica)
        for name in names
        for replica in range(replicas.get(name, 1))
    ]


def stage_spec(
    settings: PipelineSettings, workload: Workload, stage: str, replica: int = 0
) -> ServerSpec:
    """Specify a server of one stage, whose name is not checked.

    Raises:
        UsageError: Servers are external, and the settings have no address of this one;
            or its program is not built, or has no TLS where that is asked for.
    """
    given = settings.serving.get(stage)
    if given is not None:
        what: Command | Address | WorkloadStage = _command_or_address(given)
    elif settings.servers != "external":
        program = _program(settings, workload, stage)
        what = WorkloadStage(stage, workload.name, workload, program)
    else:
        raise UsageError(
            f"--pipeline-servers external: where is stage {stage}? Give "
            f"--pipeline-stage {stage}=ADDRESS"
        )
    return _spec(settings, stage, what, stub_type(stage), replica=replica)


def server_spec(
    settings: PipelineSettings,
    what: Any,
    *,
    name: str | None = None,
    add_to_server: AddToServer | None = None,
    stub: StubType | None = None,
    aio: bool | None = None,
    server: ServerArguments = SERVER_DEFAULTS,
    channel: ChannelArguments = CHANNEL_DEFAULTS,
    health_check: bool = True,
) -> ServerSpec:
    """Specify a server of anything that the fixture ``stage_server`` takes.

    Args:
        settings: The settings of the test.
        what: The name of a stage, a `Stage`, a servicer or what makes one, a command or
            an address.
        name: The name of the server in errors and reports.
        add_to_server: The generated function that adds the servicer to a server.
        stub: Makes the client of the service from a channel. By default it is the stub
            generated beside ``add_to_server``, or the one of the stage contract.
        aio: Whether grpc.aio serves the servicer; None to find out.
        server: What the server of the servicer is given.
        channel: What channels to the server are given.
        health_check: Whether to ask a command's or an address's health service.

    Raises:
        UsageError: ``what`` is something else, or can't be served with these settings.
    """
    __tracebackhide__ = True
    if stub is not None and not callable(stub):
        raise UsageError(
            f"stage_server(stub={stub!r}): must be the generated class …Stub"
        )
    # A servicer may be of any type, so that one function can add several.
    if isinstance(what, str | list | tuple) and add_to_server is None:
        spec = _started_elsewhere(settings, what, name, stub)
        if aio is not None or server != SERVER_DEFAULTS:
            raise UsageError(
                f"stage_server({what!r}): aio, options, interceptors, max_workers, "
                f"compression and credentials are for a servicer, which is served here"
            )
    else:
        servicer = servicer_of(what, add_to_server, aio=aio, arguments=server)
        label = name or (what.name if isinstance(what, Stage) else servicer.name)
        if settings.servers == "external":
            raise UsageError(
                f"--pipeline-servers external: {label} is a servicer, which somebody "
                f"has to serve; give stage_server(servers='inprocess')"
            )
        spec = _spec(
            settings,
            label,
            servicer,
            stub or stub_of(servicer),
            keeps_contract=servicer.keeps_contract,
        )
    _check_credentials(spec.transport, server, channel)
    return replace(spec, channel=channel, health_check=health_check)


def _started_elsewhere(
    settings: PipelineSettings,
    what: str | list[str] | tuple[str, ...],
    name: str | None,
    stub: StubType | None,
) -> ServerSpec:
    """Specify what is given by the name of a stage, a command or an address."""
    if _is_stage_name(what):
        return stage_spec(settings, workload_named(settings.workload[0]), str(what))
    given = _command_or_address(what)
    label = name or (
        given.text if isinstance(given, Address) else Path(given.words[0]).name
    )
    return _spec(
        settings,
        label,
        given,
        stub or stub_type(label),
        # Without a client of its own, it is a stage.
        keeps_contract=stub in (None, IngestStub, StageStub, SinkStub),
    )


def _check_credentials(
    transport: Transport, server: ServerArguments, channel: ChannelArguments
) -> None:
    """Raise UsageError if clients could not reach the server with its credentials."""
    if server.credentials is not None and channel.credentials is None:
        raise UsageError(
            "stage_server(credentials=...): how do clients trust the server? Give "
            "channel_credentials too"
        )
    if (
        channel.call_credentials is not None
        and channel.credentials is None
        and transport not in TLS_TRANSPORTS
    ):
        raise UsageError(
            f"stage_server(call_credentials=...): gRPC sends them over TLS only, and "
            f"the transport is {transport}; give transport='tls'"
        )


def _program(
    settings: PipelineSettings, workload: Workload, stage: str
) -> tuple[str, ...]:
    """Return the program of a stage in another language; () if Python serves it."""
    if not settings.stages:
        return ()
    program = programs_of(settings.stages, workload).get(stage, ())
    if program and settings.transport in TLS_TRANSPORTS:
        raise UsageError(
            f"--pipeline-transport {settings.transport}: stage {stage} is not in "
            f"Python and has no TLS; give unix or tcp"
        )
    return program


def _is_stage_name(what: Any) -> bool:
    return isinstance(what, str) and not is_address(what) and what.isidentifier()


def _command_or_address(given: str | list[str] | tuple[str, ...]) -> Command | Address:
    if isinstance(given, str) and is_address(given):
        return Address(given)
    try:
        words = shlex.split(given) if isinstance(given, str) else map(str, given)
        command = Command(tuple(words))
    except ValueError as error:
        raise UsageError(f"command {given!r}: {one_line(error)}") from None
    if not command.words:
        raise UsageError(f"command {given!r}: has no words; give the program to start")
    return command


def _spec(
    settings: PipelineSettings,
    name: str,
    what: WorkloadStage | UserServicer | Command | Address,
    stub: StubType | None,
    *,
    replica: int = 0,
    keeps_contract: bool = True,
) -> ServerSpec:
    hosting, transport = settings.servers, settings.transport
    is_program = isinstance(what, WorkloadStage) and bool(what.program)
    if isinstance(what, Command) or is_program:
        hosting = "subprocess"
    elif isinstance(what, Address):
        hosting = "external"
        if what.text.startswith("unix:"):
            transport = "unix"
        elif transport == "unix":
            transport = "tcp"
    return ServerSpec(
        name=name,
        what=what,
        hosting=hosting,
        transport=transport,
        replica=replica,
        stub_type=stub,
        start_timeout_s=settings.start_timeout,
        keeps_contract=keeps_contract,
        trusts_session=settings.servers != "external",
        tls_root=settings.tls_root,
    )
