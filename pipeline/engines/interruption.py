"""Run a coroutine that a signal ends by cancelling it."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from pipeline.interrupts import interrupting

T = TypeVar("T")


def run_until_interrupted(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` in an event loop of its own.

    Raises:
        KeyboardInterrupt: A signal has ended it, after it has cleaned up.
    """
    interrupted = False

    async def cancelled_at_signals() -> T:
        loop = asyncio.get_running_loop()
        # Not a task of its own: at the end of a run, gRPC's tasks are waited for, and
        # they are known by being all the others.
        task = cast("asyncio.Task[Any]", asyncio.current_task())

        def interrupt() -> None:
            nonlocal interrupted
            interrupted = True
            loop.call_soon_threadsafe(task.cancel)

        with _woken_by_signals(loop), interrupting(interrupt):
            return await main

    try:
        return asyncio.run(cancelled_at_signals())
    except asyncio.CancelledError:
        if not interrupted:
            raise
        raise KeyboardInterrupt from None


@contextmanager
def _woken_by_signals(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """End the wait of the loop at each signal, so that its handler runs at once.

    A signal that another thread receives, or that arrives just before the wait, does
    not end it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    woken, wake = socket.socketpair()
    for end in (woken, wake):
        end.setblocking(False)
    before = signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    loop.add_reader(woken, woken.recv, 64)
    try:
        yield
    finally:
        loop.remove_reader(woken)
        signal.set_wakeup_fd(before)
        woken.close()
        wake.close()
