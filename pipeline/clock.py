"""Where time goes: laps of wall and CPU time, and memory."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import NamedTuple, Protocol


class Lap(NamedTuple):
    """Nanoseconds since the lap before: wall clock, and CPU of this thread."""

    wall: int
    cpu: int


class LapTimer(Protocol):
    """Whatever cuts time into laps as `Stopwatch` does, by a clock of its own."""

    def lap(self) -> Lap:
        """Return the time since the last call, or since the start."""


class Stopwatch:
    """Cuts the time of one thread into laps that leave no gap."""

    def __init__(self) -> None:
        self._wall = time.perf_counter_ns()
        self._cpu = time.thread_time_ns()

    def lap(self) -> Lap:
        """Return the time since the last call, or since the start."""
        wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
        lap = Lap(wall - self._wall, cpu - self._cpu)
        self._wall, self._cpu = wall, cpu
        return lap


class ProcessClock:
    """CPU of the whole process, all threads, in laps of nanoseconds."""

    def __init__(self) -> None:
        self._cpu = time.process_time_ns()

    def lap(self) -> int:
        """Return the CPU since the last call, or since the start."""
        cpu = time.process_time_ns()
        spent, self._cpu = cpu - self._cpu, cpu
        return spent


def peak_rss_bytes() -> int:
    """Return the most memory that this process ever had resident."""
    # Linux hands ru_maxrss down from the process that started this one.
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
