"""A child process is ended together with every process that it has started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from pipeline.transport.process_group import end_group, signal_group

STARTS_A_CHILD = (
    "import subprocess, sys, time;"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
    "print(child.pid, flush=True);"
)


def started(code: str) -> tuple[subprocess.Popen[bytes], int]:
    """Start Python in a group of its own; return it and the child's id it prints."""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, process_group=0
    )
    assert process.stdout is not None
    with process.stdout:
        return process, int(process.stdout.readline())


def soon_ends(pid: int) -> bool:
    """Return whether a process ends within ten seconds, reaped or not."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
    return False


def test_a_process_that_stays_is_killed_with_its_children() -> None:
    """A process that outlives the wait is killed, and so is its child."""
    process, grandchild = started(STARTS_A_CHILD + "time.sleep(60)")

    end_group(process)

    assert process.returncode == -signal.SIGKILL
    assert soon_ends(grandchild)


def test_children_of_a_process_that_ends_by_itself_are_killed() -> None:
    """The child of a process that has ended with exit code 0 is killed."""
    process, grandchild = started(STARTS_A_CHILD)

    end_group(process, wait_s=30.0)

    assert process.returncode == 0
    assert soon_ends(grandchild)


def test_a_group_that_is_gone_is_no_error() -> None:
    """Ending a process twice does nothing the second time."""
    process, _ = started("print(2)")
    end_group(process, wait_s=30.0)

    end_group(process)

    assert process.returncode == 0


@pytest.mark.parametrize(
    "leader", [-1, 0, 1, os.getpgrp()], ids=["-1", "0", "1", "own"]
)
def test_the_group_of_the_caller_is_never_signalled(leader: int) -> None:
    """Its own id is refused, and so is 0, which the system takes for it."""
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: heard.append(number))
    try:
        with pytest.raises(ValueError, match=f"process group {leader}"):
            signal_group(leader, signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert not heard
