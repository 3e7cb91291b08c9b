"""Signal and end a child process together with everything that it has started.

The child must lead a process group of its own: start it with ``process_group=0`` or
``start_new_session=True``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess


def signal_group(leader: int, number: signal.Signals) -> None:
    """Send a signal to the process group of ``leader``; do nothing if it is gone.

    Raises ValueError for a process id below 2: the system would take 0 for the group of
    the caller.
    """
    if leader < 2:
        raise ValueError(f"process group {leader}: is not a child's")
    # PermissionError is how macOS answers for a group of zombies.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def end_group(process: subprocess.Popen[bytes], wait_s: float = 0.0) -> None:
    """Wait ``wait_s`` seconds for a process to end, then kill what its group has left.

    Returns when the process is gone, also where the wait is interrupted.
    """
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(wait_s)
    finally:
        signal_group(process.pid, signal.SIGKILL)
        process.wait()
