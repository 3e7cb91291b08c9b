"""Signal and end a child process together with every process that it has started.

The child must lead a process group of its own: start it with ``process_group=0`` or
``start_new_session=True``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess


def signal_group(leader: int, number: signal.Signals) -> None:
    """Send a signal to a process group; do nothing if the group is gone.

    Args:
        leader: Process id of the child that leads the group.
        number: The signal.

    Raises:
        ValueError: ``leader`` is below 2, or leads the caller's own group. The system
            takes 0 for the caller's group, and so would signal the caller.
    """
    if leader < 2 or leader == os.getpgrp():
        raise ValueError(f"process group {leader}: is not a child's")
    # macOS raises PermissionError for a group of zombies.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def end_group(process: subprocess.Popen[bytes], wait_s: float = 0.0) -> None:
    """Wait for a process to end, then kill what is left of its group.

    Returns when the process is gone, and reaps it also if the wait is interrupted.

    Args:
        process: The leader of the group.
        wait_s: Seconds that the process has to end by itself.
    """
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(wait_s)
    finally:
        signal_group(process.pid, signal.SIGKILL)
        process.wait()
