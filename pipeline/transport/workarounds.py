"""What works around defects of grpcio.

Each workaround names the defect, where it is tracked, and the versions that have it.
``tests/transport/test_workarounds.py`` shows every defect on bare gRPC: a workaround
can go when its test there fails on the lowest version of grpcio that is supported.
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import grpc

from pipeline.transport.client import CallStatus

T = TypeVar("T")

#: Options of a channel to a Unix socket. gRPC sends its path as the authority, which
#: servers on Rust's h2 and .NET's Kestrel refuse as malformed (grpcio 1.57 to 1.85,
#: https://github.com/grpc/grpc/issues/34305). Other clients send localhost.
UNIX_OPTIONS: tuple[tuple[str, Any], ...] = (("grpc.default_authority", "localhost"),)

# The details of the status that grpc.aio makes up when a write has failed.
_WRITE_FAILED = "Internal error from Core"
_POLL_S = 0.001
# On an idle machine, calls that are cut end in less than a millisecond.
_WAIT_FOR_CALLS_S = 1.0


class StatusWatch:
    """Keeps the status that the server sent for a call.

    grpc.aio can't be asked for it at the end, for three reasons:

    - A write that fails because the call has ended sets a status of its own, INTERNAL
      "Internal error from Core", over the server's (grpcio 1.78 to 1.85,
      https://github.com/grpc/grpc/issues/36066). So the status is taken when it
      arrives, and one with those details is not taken at all.
    - If the write fails before the server's status arrives, the server's replaces that
      of the write. Until 1.83 done callbacks are called again, since 1.84 they are not.
      So `wait` polls.
    - A call that has ended gives its status to coroutines only, although it has nothing
      to wait for (grpcio 1.78 to 1.85). A callback can't await, and in a task of its
      own it would find a status that has been replaced. So the coroutines are stepped
      by hand.
    """

    def __init__(self, call: grpc.aio.Call) -> None:
        self._call = call
        self._status: CallStatus | None = None
        call.add_done_callback(self._take)

    async def wait(self) -> CallStatus:
        """Return the server's status, once it is there."""
        while self._status is None:
            await asyncio.sleep(_POLL_S)
            if self._call.done():
                self._take(self._call)
        return self._status

    def _take(self, _: object) -> None:
        call = self._call
        details = result_at_once(call.details())
        if details != _WRITE_FAILED and self._status is None:
            self._status = CallStatus(
                result_at_once(call.code()),
                details or "",
                tuple(result_at_once(call.trailing_metadata())),
            )


def result_at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that has nothing to wait for.

    Raises:
        RuntimeError: It waits for something.
    """
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    coroutine.close()
    raise RuntimeError("the coroutine has to wait for its result")


async def wait_for_calls() -> None:
    """Wait for gRPC to end the calls of this event loop's channels; a second at most.

    ``channel.close()`` cancels calls, but does not wait for the tasks that receive
    their statuses (grpcio 1.78 to 1.85, https://github.com/grpc/grpc/issues/41875). A
    status that arrives after the event loop has closed is dropped, and then neither the
    call nor its channel is ever freed. gRPC has no list of those tasks, so this waits
    for all tasks but the current one.
    """
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    if tasks:
        await asyncio.wait(tasks, timeout=_WAIT_FOR_CALLS_S)


def is_served(path: Path) -> bool:
    """Return whether a server listens on the unix socket at ``path``.

    gRPC removes any socket that it finds at the path that it binds, also one that
    another server listens on, which no client reaches any more (grpcio 1.78 to 1.85,
    https://github.com/grpc/grpc/issues/17122, closed without a fix).
    """
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(os.fspath(path))
    except OSError:
        return False
    return True
