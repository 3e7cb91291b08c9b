"""Start processes of workers: quickly, and where signals for the driver miss them."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker

from pipeline.interrupts import uninterrupted

# Keeps Python from importing modules of the current folder instead of installed ones.
_SAFE_PATH = "PYTHONSAFEPATH"
_BLOCKED = (signal.SIGINT, signal.SIGHUP)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold signals back until the end.

    Processes and threads that are started meanwhile never receive SIGINT or SIGHUP, nor
    do processes that those threads start later. So Ctrl-C and the end of a terminal
    reach none of the workers, which the driver stops. It stops them by SIGTERM.
    """
    with uninterrupted():
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)
        try:
            # Dask would start it, which unblocks SIGINT. It must not receive SIGHUP.
            resource_tracker.ensure_running()
            signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def start_fork_server(*modules: str) -> bool:
    """Start a process that imports modules, and that workers are forked from.

    It imports them while this process imports its own, and once for all workers. It
    ends with this process.

    Returns:
        Whether it runs. On systems other than Linux, libraries may not survive a fork.
    """
    if sys.platform != "linux":
        return False
    forkserver.set_forkserver_preload(list(modules))
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        with undisturbed():
            forkserver.ensure_running()
    except OSError:
        # The path of the folder for temporary files is too long for its socket.
        return False
    finally:
        if before is None:
            del os.environ[_SAFE_PATH]
        else:
            os.environ[_SAFE_PATH] = before
    return True


def environment() -> dict[str, str]:
    """Return the environment of a forked worker: that of this process, as it is now."""
    return {_SAFE_PATH: "", **os.environ}
