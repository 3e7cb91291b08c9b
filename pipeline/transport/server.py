"""Run one stage as a gRPC server until it is asked to stop."""

from __future__ import annotations

import ipaddress
import logging
import math
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import grpc
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection

from pipeline.errors import StageError, UsageError
from pipeline.stages import INGEST, SINK
from pipeline.transport import wire
from pipeline.transport.admission import (
    MAX_STREAMS,
    Admission,
    CallThreads,
    IdleWatch,
    ServerLimits,
    run_in,
)
from pipeline.transport.credits import Credits
from pipeline.transport.disclosure import Disclosure
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
# How much longer than its grace gRPC may take to stop.
_STOP_S = 2.0
_POLL_S = 0.1
# Health has threads of its own, so that a server whose streams are all taken answers.
_HEALTH_THREADS = 4
_HEALTH_PREFIX = f"/{health.SERVICE_NAME}/"
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
        limits: ServerLimits | None = None,
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
            limits: Refuse what exceeds these, in place of ``options`` and
                ``max_workers``. By default calls wait for a free thread, as in any gRPC
                server.

        Raises:
            UsageError: ``bind`` is no address.
            StageError: The address can't be bound.
        """
        __tracebackhide__ = True
        check_bind(bind)
        streams = limits.streams if limits else max_workers or MAX_STREAMS
        self._threads = CallThreads(streams, name)
        spare = CallThreads(_HEALTH_THREADS, f"{name}_health")
        self._idle_watch = None
        #: When all open streams were cancelled.
        self._cut_at = math.inf
        if limits:
            options = limits.options
            admission = Admission(self._threads, spare, is_health)
            interceptors = [admission, *interceptors]
            if limits.idle_s is not None:
                self._idle_watch = IdleWatch(limits.idle_s)
                interceptors = [self._idle_watch, *interceptors]
        self._server = grpc.server(
            self._threads,
            interceptors=list(interceptors),
            options=options,
            compression=compression,
        )
        services = add_services(self._server)
        self._health = health.HealthServicer()
        # Users may add a health service of their own.
        if health.SERVICE_NAME not in services:
            _add_health(self._server, self._health, spare)
        # gRPC gives the socket what the mask leaves. Only its owner may connect.
        mask = os.umask(0o177) if bind.startswith(_UNIX) else None
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
        finally:
            if mask is not None:
                os.umask(mask)
        #: The address that is bound; port 0 is replaced by the port taken.
        self.address = bind if bind.startswith(_UNIX) else f"{_host(bind)}:{port}"
        self._server.start()
        for service in ("", *services):
            self._health.set(service, health_pb2.HealthCheckResponse.SERVING)

    def drain(self, grace_s: float = DRAIN_S) -> None:
        """Refuse new streams, let the open ones finish, stop after ``grace_s``."""
        self._health.enter_graceful_shutdown()
        stopped = self._server.stop(grace_s)
        ends = time.monotonic() + grace_s
        # gRPC waits for handlers, and one of them may never return.
        while not stopped.wait(_POLL_S):
            if time.monotonic() > min(ends, self._cut_at) + _STOP_S:
                break
        if self._idle_watch is not None:
            self._idle_watch.close()

    def stop_now(self) -> None:
        """Cancel all open streams, also during a drain."""
        self._cut_at = time.monotonic()
        # Without a grace, gRPC waits for handlers here, and one may never return.
        stop = threading.Thread(target=self._server.stop, args=(None,), daemon=True)
        stop.start()
        stop.join(_STOP_S)

    def wait_for_handlers(self) -> bool:
        """Wait for handlers of cancelled calls to clean up.

        Returns:
            Whether all have ended; one may never do.
        """
        return self._threads.wait_idle(_STOP_S)


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
        limits: ServerLimits | None = None,
        disclosure: Disclosure | None = None,
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
            limits: What it refuses; by default what `ServerLimits` says.
            disclosure: Who is told what a function raised; everyone by default.

        Raises:
            UsageError: The workload has no such stage, or ``bind`` is no address.
            StageError: The address can't be bound.
        """
        services = _services(workload, stage, folders, disclosure or Disclosure())

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

        super().__init__(
            label or stage,
            add_services,
            bind,
            credentials,
            interceptors,
            limits=limits or ServerLimits(),
        )


class Stoppable(Protocol):
    """A running server."""

    def drain(self) -> None:
        """Refuse new streams, and return when the open ones have finished."""

    def stop_now(self) -> None:
        """Cancel all open streams."""


def serve_until_stopped(
    server: Stoppable, announce: Callable[[], None], lifeline: int | None = None
) -> None:
    """Announce the server, serve until SIGTERM, SIGINT or SIGHUP, then drain.

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
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as by nohup
        signal.signal(signal.SIGHUP, stop)
    if lifeline is not None:
        threading.Thread(target=watch, args=(lifeline,), daemon=True).start()
    announce()
    while not stopping.is_set():
        woken.recv(1)
    _log.info("draining")
    server.drain()


def _add_health(
    server: grpc.Server, servicer: health.HealthServicer, threads: CallThreads
) -> None:
    """Serve health in threads of its own."""
    request = health_pb2.HealthCheckRequest.FromString
    response = health_pb2.HealthCheckResponse.SerializeToString
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Check": grpc.unary_unary_rpc_method_handler(
            run_in(threads, servicer.Check), request, response
        ),
        "Watch": grpc.unary_stream_rpc_method_handler(
            run_in(threads, servicer.Watch), request, response
        ),
    }
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(health.SERVICE_NAME, handlers)]
    )


def is_health(method: str) -> bool:
    """Return whether the path of a method belongs to the health service."""
    return method.startswith(_HEALTH_PREFIX)


def _services(
    workload: Workload, stage: str, folders: ServedFolders, disclosure: Disclosure
) -> dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]]:
    """Return the methods of a stage, by service and name."""
    if stage == INGEST:
        credits_ = Credits()
        read = grpc.unary_stream_rpc_method_handler(
            IngestServicer(workload, folders, credits_, disclosure).Read,
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
            SinkServicer(workload, folders, disclosure).Write,
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
        StageServicer(transform, disclosure=disclosure).Process,
        request_deserializer=Batch.FromString,
        response_serializer=Batch.SerializeToString,
    )
    return {wire.STAGE_SERVICE: {"Process": process}}


def check_bind(bind: str) -> None:
    """Raise UsageError if a server can't be bound to such an address."""
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


def is_private(bind: str) -> bool:
    """Return whether only this machine reaches a server that is bound there."""
    if bind.startswith(_UNIX):
        return True
    host = _host(bind).strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name, of whatever interface


def _host(bind: str) -> str:
    return bind.rpartition(":")[0]
