"""Run one stage as a gRPC server until it is asked to stop."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import grpc
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from pipeline.errors import StageError, UsageError
from pipeline.stages import INGEST, SINK
from pipeline.transport import wire
from pipeline.transport.credits import Credits
from pipeline.transport.folders import ServedFolders
from pipeline.transport.servicers import IngestServicer, SinkServicer, StageServicer
from pipeline.transport.workarounds import is_served
from pipeline.v1.pipeline_pb2 import (
    Batch,
    Credit,
    ReadRequest,
    WriteRequest,
    WriteSummary,
)
from pipeline.workload import Workload

_log = logging.getLogger(__name__)

# How long open streams may go on once the server is asked to stop.
DRAIN_S = 30.0
# Each open stream occupies a thread.
MAX_STREAMS = 64
# sockaddr_un has room for 108 bytes, one of them the NUL at the end.
_MAX_SOCKET_PATH_BYTES = 107

_UNIX = "unix:"
_HOST_PORT = re.compile(r"(?:\[[^\]]+\]|[^:\[\]]+):(\d{1,5})")


class RpcServer:
    """A thread-based gRPC server, bound to an address, with the health service."""

    def __init__(
        self,
        name: str,
        add_services: Callable[[grpc.Server], Sequence[str]],
        bind: str,
        credentials: grpc.ServerCredentials | None = None,
        interceptors: Sequence[grpc.ServerInterceptor] = (),
        *,
        options: Sequence[tuple[str, Any]] = wire.OPTIONS,
        max_workers: int | None = None,
        compression: grpc.Compression | None = None,
    ) -> None:
        """Bind and start.

        Args:
            name: Names the server in errors and its threads.
            add_services: Adds services to the server, and returns their names for the
                health service.
            bind: ``HOST:PORT``, where port 0 takes a free one, or ``unix:PATH``.
            credentials: Serve under TLS with these.
            interceptors: Interceptors of the server.
            options: Channel arguments of gRPC.
            max_workers: Number of threads; each open stream occupies one. 64 by
                default.
            compression: Compression of replies.

        Raises:
            UsageError: ``bind`` is no address.
            StageError: The address can't be bound.
        """
        __tracebackhide__ = True
        _check_bind(bind)
        self._server = grpc.server(
            ThreadPoolExecutor(max_workers or MAX_STREAMS, thread_name_prefix=name),
            interceptors=list(interceptors),
            options=options,
            compression=compression,
        )
        services = add_services(self._server)
        self._health = health.HealthServicer()
        # Users may add a health service of their own.
        if health.SERVICE_NAME not in services:
            health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        try:
            port = (
                self._server.add_secure_port(bind, credentials)
                if credentials
                else self._server.add_insecure_port(bind)
            )
        except RuntimeError:
            raise StageError(
                f"stage {name} can't bind {bind}: it is taken, or not an address of "
                f"this machine"
            ) from None
        #: The address that is bound; port 0 is replaced by the port taken.
        self.address = bind if bind.startswith(_UNIX) else f"{_host(bind)}:{port}"
        self._server.start()
        for service in ("", *services):
            self._health.set(service, health_pb2.HealthCheckResponse.SERVING)

    def drain(self, grace_s: float = DRAIN_S) -> None:
        """Refuse new streams, let the open ones finish, stop after ``grace_s``."""
        self._health.enter_graceful_shutdown()
        self._server.stop(grace_s).wait()

    def stop_now(self) -> None:
        """Cancel all open streams, also during a drain."""
        self._server.stop(None)


class StageServer(RpcServer):
    """A server of one stage, with health and reflection."""

    def __init__(
        self,
        workload: Workload,
        stage: str,
        bind: str,
        folders: ServedFolders,
        credentials: grpc.ServerCredentials | None = None,
        interceptors: Sequence[grpc.ServerInterceptor] = (),
        label: str = "",
    ) -> None:
        """Bind and start, as `RpcServer` does.

        Args:
            workload: The workload that the stage belongs to.
            stage: Name of the stage.
            bind: See `RpcServer`.
            folders: What ingest and sink may read and write.
            credentials: See `RpcServer`.
            interceptors: See `RpcServer`.
            label: Names the server in errors and its threads; by default the stage's
                name.

        Raises:
            UsageError: The workload has no such stage, or ``bind`` is no address.
            StageError: The address can't be bound.
        """
        services = _services(workload, stage, folders)

        def add_services(server: grpc.Server) -> Sequence[str]:
            server.add_generic_rpc_handlers(
                [
                    grpc.method_handlers_generic_handler(name, handlers)
                    for name, handlers in services.items()
                ]
            )
            reflection.enable_server_reflection(
                (*services, health.SERVICE_NAME, reflection.SERVICE_NAME), server
            )
            return list(services)

        super().__init__(label or stage, add_services, bind, credentials, interceptors)


class Stoppable(Protocol):
    """A running server."""

    def drain(self) -> None:
        """Refuse new streams, and return when the open ones have finished."""

    def stop_now(self) -> None:
        """Cancel all open streams."""


def serve_until_stopped(
    server: Stoppable, announce: Callable[[], None], lifeline: int | None = None
) -> None:
    """Announce the server, serve until SIGTERM or SIGINT, then drain.

    A second signal cuts the drain short.

    Args:
        server: The server.
        announce: Called once signals are handled; prints the handshake.
        lifeline: A file descriptor to read. At its end of file the parent process is
            gone, and the server stops at once.
    """
    stopping = threading.Event()
    woken, wake = socket.socketpair()
    wake.setblocking(False)

    def stop(*_: object) -> None:
        if stopping.is_set():
            server.stop_now()
        stopping.set()

    def watch(descriptor: int) -> None:
        os.read(descriptor, 1)
        stop()
        stop()
        wake.send(b"\0")

    # A signal that arrives just before the main thread waits, or in another thread,
    # does not end the wait, so its handler does not run. A byte to read does.
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if lifeline is not None:
        threading.Thread(target=watch, args=(lifeline,), daemon=True).start()
    announce()
    while not stopping.is_set():
        woken.recv(1)
    _log.info("draining")
    server.drain()


def _services(
    workload: Workload, stage: str, folders: ServedFolders
) -> dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]]:
    """Return the methods of a stage, by service and name."""
    if stage == INGEST:
        credits_ = Credits()
        read = grpc.unary_stream_rpc_method_handler(
            IngestServicer(workload, folders, credits_).Read,
            request_deserializer=ReadRequest.FromString,
            response_serializer=Batch.SerializeToString,
        )
        grant = grpc.stream_unary_rpc_method_handler(
            credits_.Grant,
            request_deserializer=Credit.FromString,
            response_serializer=Empty.SerializeToString,
        )
        return {
            wire.INGEST_SERVICE: {"Read": read},
            wire.CREDITS_SERVICE: {"Grant": grant},
        }
    if stage == SINK:
        write = grpc.stream_unary_rpc_method_handler(
            SinkServicer(workload, folders).Write,
            request_deserializer=WriteRequest.FromString,
            response_serializer=WriteSummary.SerializeToString,
        )
        return {wire.SINK_SERVICE: {"Write": write}}
    try:
        transform = workload.transform(stage)
    except KeyError:
        known = ", ".join(workload.stage_names)
        raise UsageError(
            f"stage {stage!r}: workload {workload.name} has {known}"
        ) from None
    process = grpc.stream_stream_rpc_method_handler(
        StageServicer(transform).Process,
        request_deserializer=Batch.FromString,
        response_serializer=Batch.SerializeToString,
    )
    return {wire.STAGE_SERVICE: {"Process": process}}


def _check_bind(bind: str) -> None:
    if bind.startswith(_UNIX):
        _check_socket_path(Path(bind.removeprefix(_UNIX)))
        return
    match = _HOST_PORT.fullmatch(bind)
    if match is None or int(match[1]) > 65535:
        raise UsageError(f"address {bind!r}: must be HOST:PORT or unix:PATH")


def _check_socket_path(path: Path) -> None:
    size = len(os.fsencode(path))
    if size > _MAX_SOCKET_PATH_BYTES:
        raise UsageError(
            f"address unix:{path}: {size} bytes, and a socket's path has at most "
            f"{_MAX_SOCKET_PATH_BYTES}; take a shorter one"
        )
    if is_served(path):
        raise StageError(f"address unix:{path}: another server is listening there")


def _host(bind: str) -> str:
    return bind.rpartition(":")[0]
