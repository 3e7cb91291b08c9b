"""A grpc.aio server with an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from pipeline.errors import StageError
from pipeline.transport.admission import MAX_STREAMS

T = TypeVar("T")

_START_S = 30.0


class AioRpcServer:
    """Like `RpcServer`, for servicers with asynchronous methods."""

    def __init__(
        self,
        name: str,
        add_services: Callable[[grpc.aio.Server], Sequence[str]],
        bind: str,
        credentials: grpc.ServerCredentials | None = None,
        interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
        *,
        options: Sequence[tuple[str, Any]],
        max_workers: int | None = None,
        compression: grpc.Compression | None = None,
    ) -> None:
        """Bind and start.

        Args:
            name: The name in errors, and the start of the names of all threads.
            add_services: Adds the services to the server and returns their names.
            bind: ``HOST:PORT`` or ``unix:PATH``; port 0 takes a free one.
            credentials: Serve under TLS with these.
            interceptors: Interceptors of every call.
            options: Channel arguments of gRPC.
            max_workers: Number of threads for RPCs that are no coroutines. 64 by
                default.
            compression: Compression of replies.

        Raises:
            StageError: The address can't be bound.
        """
        __tracebackhide__ = True
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_without_poller_noise)
        # All threads of the server are found by the start of their names.
        self._loop.set_default_executor(
            ThreadPoolExecutor(thread_name_prefix=f"{name}_gate")
        )
        self._pool = ThreadPoolExecutor(
            max_workers or MAX_STREAMS, thread_name_prefix=f"{name}_pool"
        )
        self._thread = threading.Thread(
            target=self._loop.run_forever, name=f"{name}_loop", daemon=True
        )
        self._thread.start()
        self._stopping = threading.Lock()
        try:
            self.address = self._call(
                self._start(
                    name,
                    add_services,
                    bind,
                    credentials,
                    lambda: grpc.aio.server(
                        self._pool,
                        interceptors=list(interceptors),
                        options=options,
                        compression=compression,
                    ),
                )
            )
        except BaseException:
            self._end_loop()
            raise

    async def _start(
        self,
        name: str,
        add_services: Callable[[grpc.aio.Server], Sequence[str]],
        bind: str,
        credentials: grpc.ServerCredentials | None,
        new_server: Callable[[], grpc.aio.Server],
    ) -> str:
        __tracebackhide__ = True
        self._server = new_server()
        services = add_services(self._server)
        self._health = health.aio.HealthServicer()
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
        await self._server.start()
        for service in ("", *services):
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)
        return bind if bind.startswith("unix:") else f"{bind.rpartition(':')[0]}:{port}"

    def drain(self, grace_s: float = 30.0) -> None:
        """Refuse new streams, let the open ones finish, stop after ``grace_s``."""
        self._stop(grace_s)

    def stop_now(self) -> None:
        """Cut the streams that are still open."""
        self._stop(None)

    def _stop(self, grace_s: float | None) -> None:
        with self._stopping:
            if self._loop.is_closed():
                return
            self._call(self._shut_down(grace_s))
            self._end_loop()

    async def _shut_down(self, grace_s: float | None) -> None:
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_s)

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_START_S)

    def _end_loop(self) -> None:
        self._call(self._loop.shutdown_asyncgens())
        self._call(self._loop.shutdown_default_executor())
        self._pool.shutdown(wait=False)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _without_poller_noise(
    loop: asyncio.AbstractEventLoop, context: dict[str, Any]
) -> None:
    """Handle an exception of the loop; ignore the BlockingIOError of grpc.aio.

    All event loops of a process share its poller. A loop that wakes up after another
    one has read the event finds nothing to read.
    """
    if not isinstance(context.get("exception"), BlockingIOError):
        loop.default_exception_handler(context)
