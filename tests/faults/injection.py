"""Make the faults of a plan, each at its moment, as processes of the run report it."""

from __future__ import annotations

import os
import signal
import socketserver
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil

from tests.faults.plan import INPUT, Fault, Kind, Moment, Plan
from tests.faults.reporting import CUT, GO_ON

# How long the runner waits for a process that cuts its connections; it may be paused.
_CUT_S = 1.0
# A slow process runs 2 ms of each 40, for a second.
_SLOW_TURNS, _STOPPED_S, _RUNNING_S = 25, 0.038, 0.002
_SIGNALS: Mapping[Kind, signal.Signals] = {
    "kill": signal.SIGKILL,
    "terminate": signal.SIGTERM,
    "interrupt": signal.SIGINT,
}

_ENOUGH = b"enough\n"


@dataclass(frozen=True)
class _Known:
    """A process of the run that has reported its start."""

    process: psutil.Process
    cut: Callable[[], None]


class Injection:
    """Listens to the processes of one run, and makes faults. Use it in ``with``.

    Args:
        plan: The faults.
        socket: Where to listen.
        source: The file that the run reads.
    """

    def __init__(self, plan: Plan, socket: Path, source: Path) -> None:
        #: The faults that have happened, in that order.
        self.happened: list[Fault] = []
        self._source = source
        self._due: dict[Moment, list[Fault]] = defaultdict(list)
        for fault in plan.faults:
            self._due[fault.moment].append(fault)
        self._reports: Counter[str] = Counter()
        self._known: dict[str, list[_Known]] = defaultdict(list)
        self._lock = threading.Lock()
        #: Set when the run has ended.
        self.ended = threading.Event()
        self._server = _Listener(str(socket), _Conversation)
        self._server.injection = self

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,)).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()

    def started(self, stage: str, pid: int, cut: Callable[[], None]) -> None:
        """Keep a process, and the function that cuts its connections."""
        with suppress(psutil.NoSuchProcess):
            self._known[stage].append(_Known(psutil.Process(pid), cut))

    def reached(self, stage: str, *, is_start: bool) -> bool:
        """Make what is due at a report; return whether more reports are wanted."""
        with self._lock:
            if not is_start:
                self._reports[stage] += 1
            now = Moment(stage, self._reports[stage])
            for fault in self._due.pop(now, ()):
                if self._make(fault):
                    self.happened.append(fault)
            return any(moment.stage == stage for moment in self._due)

    def _make(self, fault: Fault) -> bool:
        """Make a fault; return False if there is no process to make it to."""
        if fault.target == INPUT:
            left = int(self._source.stat().st_size * fault.left)
            os.truncate(self._source, left)
            return True
        alive = [each for each in self._known[fault.target] if _is_alive(each.process)]
        if not alive:
            return False
        known = alive[fault.replica % len(alive)]
        process = known.process
        with suppress(psutil.NoSuchProcess):
            if fault.kind == "cut":
                known.cut()
            elif fault.kind == "slow":
                self._meanwhile(self._slow_down, process)
            elif fault.kind == "full disk":
                # Without rights of root, a disk is full for one process: each of its
                # writes to a file fails, with EFBIG and not with ENOSPC.
                process.rlimit(psutil.RLIMIT_FSIZE, (0, 0))
            elif fault.kind == "pause":
                process.suspend()
                if fault.seconds is not None:
                    self._meanwhile(self._resume_after, process, fault.seconds)
            else:
                process.send_signal(_SIGNALS[fault.kind])
        return True

    def _meanwhile(self, function: Callable[..., None], *arguments: Any) -> None:
        threading.Thread(target=function, args=arguments, daemon=True).start()

    def _resume_after(self, process: psutil.Process, seconds: float) -> None:
        self.ended.wait(seconds)
        with suppress(psutil.NoSuchProcess):
            process.resume()

    def _slow_down(self, process: psutil.Process) -> None:
        with suppress(psutil.NoSuchProcess):
            for _ in range(_SLOW_TURNS):
                process.suspend()
                self.ended.wait(_STOPPED_S)
                process.resume()
                time.sleep(_RUNNING_S)


def _is_alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


class _Listener(socketserver.ThreadingUnixStreamServer):
    """The runner's socket."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    injection: Injection


class _Conversation(socketserver.StreamRequestHandler):
    """A connection of a process, which says first what it is for."""

    server: _Listener

    def handle(self) -> None:
        """Answer reports, or keep the connection for orders."""
        injection = self.server.injection
        with suppress(OSError, ValueError):
            purpose, stage, *rest = self.rfile.readline().decode().split()
            if purpose == "orders":
                injection.started(stage, int(rest[0]), self._cut)
                self.wfile.write(GO_ON)
                injection.ended.wait()
                return
            is_start = True
            while is_start or self.rfile.readline():
                goes_on = injection.reached(stage, is_start=is_start)
                self.wfile.write(GO_ON if goes_on else _ENOUGH)
                is_start = False

    def _cut(self) -> None:
        """Order the process to cut its connections, and wait until it has."""
        self.connection.settimeout(_CUT_S)
        with suppress(OSError):
            self.wfile.write(CUT)
            self.rfile.readline()
