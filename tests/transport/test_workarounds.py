"""The defects of grpcio that `pipeline.transport.workarounds` works around.

Each test that shows a defect uses bare gRPC. When it fails on the lowest version of
grpcio that is supported, its workaround can go.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Never

import grpc
import pytest

from pipeline.transport.client import CallStatus
from pipeline.transport.workarounds import (
    UNIX_OPTIONS,
    StatusWatch,
    is_served,
    result_at_once,
    wait_for_calls,
)

VERSION = tuple(map(int, grpc.__version__.split(".")[:2]))
SENT_BY_SERVER = "no luck"
MADE_UP_BY_GRPC = "Internal error from Core"
# Long enough for a status to cross a socket between two threads.
_ARRIVES_S = 0.2

StreamCall = (
    grpc.aio.StreamStreamCall[bytes, bytes] | grpc.aio.StreamUnaryCall[bytes, bytes]
)


class FailingServer:
    """Ends every call at its first message, in one of three methods."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.failed = threading.Event()
        self._server = grpc.server(ThreadPoolExecutor(4))
        handlers: dict[str, Any] = {
            "StreamStream": grpc.stream_stream_rpc_method_handler(self._fail),
            "StreamUnary": grpc.stream_unary_rpc_method_handler(self._fail),
            "UnaryStream": grpc.unary_stream_rpc_method_handler(self._stay),
        }
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("test", handlers),)
        )
        self._server.add_insecure_port(address)
        self._server.start()

    def _fail(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Never:
        next(requests)
        context.add_callback(self.failed.set)
        context.abort(grpc.StatusCode.ABORTED, SENT_BY_SERVER)

    def _stay(self, _: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        ended = threading.Event()
        context.add_callback(ended.set)
        ended.wait(30)
        return iter(())

    def stop(self) -> None:
        """Stop at once."""
        self._server.stop(None)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FailingServer]:
    """A server on a unix socket."""
    server = FailingServer(f"unix:{tmp_path}/s")
    yield server
    server.stop()


async def fail_a_write(server: FailingServer, call: StreamCall) -> None:
    """Write to a call after the server has ended it, but before the loop learns that.

    Blocking the event loop makes the order certain: the status has arrived before the
    second write begins, and waits in gRPC's queue.
    """
    await call.write(b"first")
    assert server.failed.wait(10)
    time.sleep(_ARRIVES_S)  # noqa: ASYNC251 - blocks the loop on purpose
    with pytest.raises(grpc.aio.AioRpcError, match=MADE_UP_BY_GRPC):
        await call.write(b"second")


def details_at_callback(call: StreamCall) -> list[str]:
    """Return a list that gets the details of the status at each done callback."""
    seen: list[str] = []
    call.add_done_callback(lambda _: seen.append(result_at_once(call.details())))
    return seen


def test_grpc_still_replaces_the_status_of_the_server_when_a_write_fails(
    server: FailingServer,
) -> None:
    """What a done callback finds at once is right; what one can await is made up."""

    async def run() -> tuple[list[str], str]:
        async with grpc.aio.insecure_channel(server.address) as channel:
            call: Any = channel.stream_stream("/test/StreamStream")()
            seen = details_at_callback(call)
            await fail_a_write(server, call)
            return seen, await call.details()

    seen, awaited = asyncio.run(run())

    assert seen[0] == SENT_BY_SERVER
    assert awaited == MADE_UP_BY_GRPC


def test_grpc_still_replaces_its_own_status_without_a_callback(
    server: FailingServer,
) -> None:
    """Where the write fails first, callbacks may only ever see the made-up status.

    They see the server's as well until grpcio 1.83.
    """

    async def run() -> tuple[list[str], str]:
        async with grpc.aio.insecure_channel(server.address) as channel:
            # Of a call with one response, gRPC asks for the status late.
            call: Any = channel.stream_unary("/test/StreamUnary")()
            seen = details_at_callback(call)
            await fail_a_write(server, call)
            with pytest.raises(grpc.aio.AioRpcError):
                await call
            return seen, await call.details()

    seen, awaited = asyncio.run(run())

    assert seen == [MADE_UP_BY_GRPC, SENT_BY_SERVER][: 2 if VERSION < (1, 84) else 1]
    assert awaited == SENT_BY_SERVER


@pytest.mark.parametrize("method", ["StreamStream", "StreamUnary"])
def test_the_watch_keeps_the_status_of_the_server(
    server: FailingServer, method: str
) -> None:
    """Whether the write failed before the server's status arrived, or after."""

    async def run() -> CallStatus:
        async with grpc.aio.insecure_channel(server.address) as channel:
            open_call: dict[str, Any] = {
                "StreamStream": channel.stream_stream,
                "StreamUnary": channel.stream_unary,
            }
            call = open_call[method](f"/test/{method}")()
            watch = StatusWatch(call)
            await fail_a_write(server, call)
            async with asyncio.timeout(10):
                return await watch.wait()

    status = asyncio.run(run())

    assert (status.code, status.details) == (
        grpc.StatusCode.ABORTED,
        SENT_BY_SERVER,
    )


async def left_after_close(server: FailingServer) -> set[asyncio.Task[Any]]:
    """Close a channel with an open call; return the tasks that are left."""
    async with grpc.aio.insecure_channel(server.address) as channel:
        stay: Any = channel.unary_stream("/test/UnaryStream")
        call = stay(b"")
        await asyncio.sleep(_ARRIVES_S)
    assert call.done()
    return asyncio.all_tasks() - {asyncio.current_task()}


def test_grpc_still_leaves_tasks_behind_when_a_channel_closes(
    server: FailingServer,
) -> None:
    """Closing a channel does not wait for the task that receives a call's status.

    The leak that follows, if the event loop closes first, depends on the time that the
    status takes. So the test looks for the task instead.
    """
    assert asyncio.run(left_after_close(server))


def test_wait_for_calls_leaves_no_task_behind(server: FailingServer) -> None:
    """After the wait, only the waiting task is left."""

    async def run() -> tuple[int, int]:
        before = await left_after_close(server)
        await wait_for_calls()
        return len(before), len(asyncio.all_tasks()) - 1

    before, after = asyncio.run(run())

    assert before > 0
    assert after == 0


def test_grpc_still_takes_over_a_socket_that_is_served(
    server: FailingServer, tmp_path: Path
) -> None:
    """A second server binds the address of the first without an error."""
    second = FailingServer(server.address)
    second.stop()

    assert not is_served(tmp_path / "s")


def test_only_a_socket_that_a_server_listens_on_is_served(
    server: FailingServer, tmp_path: Path
) -> None:
    """A missing path and a plain file are not."""
    (tmp_path / "file").touch()

    assert is_served(Path(server.address.removeprefix("unix:")))
    assert not is_served(tmp_path / "file")
    assert not is_served(tmp_path / "missing")


def test_a_coroutine_that_has_to_wait_has_no_result_at_once() -> None:
    """It raises, instead of leaving a coroutine that never ends."""

    async def waits() -> None:
        await asyncio.sleep(0)

    coroutine: Coroutine[Any, Any, None] = waits()
    with pytest.raises(RuntimeError, match="has to wait"):
        result_at_once(coroutine)


@pytest.mark.parametrize(
    "options", [(), UNIX_OPTIONS], ids=["by-default", "worked-around"]
)
def test_the_path_of_a_unix_socket_is_sent_as_the_authority(
    tmp_path: Path, options: tuple[tuple[str, Any], ...]
) -> None:
    """It is no host, so some servers refuse it; the workaround sends localhost."""

    def authority(_: bytes, context: Any) -> bytes:
        # Public attributes do not have it.
        return bytes(context._rpc_event.call_details.host)  # noqa: SLF001

    server = grpc.server(ThreadPoolExecutor(1))
    handler: Any = grpc.unary_unary_rpc_method_handler(authority)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("test", {"Authority": handler}),)
    )
    address = f"unix:{tmp_path / 'socket'}"
    server.add_insecure_port(address)
    server.start()
    try:
        with grpc.insecure_channel(address, options=options) as channel:
            call: Any = channel.unary_unary("/test/Authority")
            sent = call(b"", timeout=10)
    finally:
        server.stop(None)

    assert (sent == b"localhost") == bool(options), sent
