"""Measure wall time and CPU time in laps, and peak memory."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import NamedTuple, Protocol


class Lap(NamedTuple):
    """Nanoseconds of one lap: by the wall clock, and CPU time of the thread."""

    wall: int
    cpu: int


class LapTimer(Protocol):
    """Cuts time into laps, as `Stopwatch` does."""

    def lap(self) -> Lap:
        """Return the time since the last call, or since the start."""


class Stopwatch:
    """Cuts the time of one thread into laps without gaps."""

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
    """Cuts the CPU time of the whole process, all threads, into laps."""

    def __init__(self) -> None:
        self._cpu = time.process_time_ns()

    def lap(self) -> int:
        """Return the CPU time in nanoseconds since the last call, or the start."""
        cpu = time.process_time_ns()
        spent, self._cpu = cpu - self._cpu, cpu
        return spent


def peak_rss_bytes() -> int:
    """Return the peak of this process's resident memory, in bytes."""
    # Linux passes ru_maxrss on from the parent process, so it may be too high.
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
