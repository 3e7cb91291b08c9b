"""Running one stage as a server, until it is told to stop."""

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
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from pipeline.errors import StageError, UsageError
from pipeline.stages import INGEST, SINK
from pipeline.transport import wire
from pipeline.transport.folders import ServedFolders
from pipeline.transport.servicers import IngestServicer, SinkServicer, StageServicer
from pipeline.transport.workarounds import is_served
from pipeline.v1.pipeline_pb2 import Batch, ReadRequest, WriteRequest, WriteSummary
from pipeline.workload import Workload

_log = logging.getLogger(__name__)

# How long streams may go on once the server is told to stop.
DRAIN_S = 30.0
# Each open stream has a thread of its own.
_MAX_STREAMS = 64
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
    ) -> None:
        """Bind and start; with ``credentials``, under TLS.

        ``name`` is what errors and threads are called by. ``add_services`` adds to the
        server what it is to serve, and returns the names under which the health service
        shall know it. ``bind`` is ``HOST:PORT``, port 0 taking a free one, or
        ``unix:PATH``.

        Raises UsageError for a ``bind`` that is neither, StageError where the address
        can't be had.
        """
        _check_bind(bind)
        self._server = grpc.server(
            ThreadPoolExecutor(_MAX_STREAMS, thread_name_prefix=name),
            interceptors=list(interceptors),
            options=wire.OPTIONS,
        )
        services = add_services(self._server)
        self._health = health.HealthServicer()
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
        #: The address that is really bound.
        self.address = bind if bind.startswith(_UNIX) else f"{_host(bind)}:{port}"
        self._server.start()
        for service in ("", *services):
            self._health.set(service, health_pb2.HealthCheckResponse.SERVING)

    def drain(self, grace_s: float = DRAIN_S) -> None:
        """Refuse new streams, let the open ones finish, stop after ``grace_s``."""
        self._health.enter_graceful_shutdown()
        self._server.stop(grace_s).wait()

    def stop_now(self) -> None:
        """Cut the streams that are still open, also of a drain under way."""
        self._server.stop(None)


class StageServer(RpcServer):
    """One stage, serving, with health and reflection."""

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
        """Bind and start; see `RpcServer`, whose name is ``label`` or the stage.

        Raises UsageError for a ``stage`` that the workload does not have.
        """
        service, handlers = _handlers(workload, stage, folders)

        def add_services(server: grpc.Server) -> Sequence[str]:
            server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(service, handlers),)
            )
            reflection.enable_server_reflection(
                (service, health.SERVICE_NAME, reflection.SERVICE_NAME), server
            )
            return [service]

        super().__init__(label or stage, add_services, bind, credentials, interceptors)


class Stoppable(Protocol):
    """A server that is up."""

    def drain(self) -> None:
        """Refuse new streams, let the open ones finish."""

    def stop_now(self) -> None:
        """Cut the streams that are still open."""


def serve_until_stopped(
    server: Stoppable, announce: Callable[[], None], lifeline: int | None = None
) -> None:
    """Announce the server, then serve until SIGTERM or SIGINT and drain.

    A second signal cuts the drain short. ``lifeline`` is a file descriptor whose end
    of file means that whoever started the server is gone: it then stops at once.
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

    # A handler runs in the main thread, and a signal that comes just before a wait of
    # that thread, or in another one, does not end the wait. A byte to read does.
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


def _handlers(
    workload: Workload, stage: str, folders: ServedFolders
) -> tuple[str, dict[str, grpc.RpcMethodHandler[Any, Any]]]:
    """Return the service of a stage and its method."""
    if stage == INGEST:
        read = grpc.unary_stream_rpc_method_handler(
            IngestServicer(workload, folders).Read,
            request_deserializer=ReadRequest.FromString,
            response_serializer=Batch.SerializeToString,
        )
        return wire.INGEST_SERVICE, {"Read": read}
    if stage == SINK:
        write = grpc.stream_unary_rpc_method_handler(
            SinkServicer(workload, folders).Write,
            request_deserializer=WriteRequest.FromString,
            response_serializer=WriteSummary.SerializeToString,
        )
        return wire.SINK_SERVICE, {"Write": write}
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
    return wire.STAGE_SERVICE, {"Process": process}


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
