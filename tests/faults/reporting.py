"""The workload `events`, with processes that tell a runner how far they are.

A process that imports this module connects to the runner's socket, whose path is in
the environment. It reports its start and each batch that it is about to handle, and
waits for an answer, so that what the runner does meanwhile happens at that moment.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psutil

from pipeline.batching import BatchLimits
from pipeline.source import Opener
from pipeline.stages import INGEST, SINK, Output, Stage
from pipeline.v1.events_pb2 import Totals
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.aggregate import TotalsByType
from tests.faults.plan import ORCHESTRATOR

#: The variable that has the path of the runner's socket.
SOCKET = "FAULTS_SOCKET"
#: What the runner answers to a report if more of them are wanted, and its one order.
GO_ON, CUT = b"go on\n", b"cut\n"


class Reporter:
    """Tells the runner how far this process is, and does what the runner orders.

    Args:
        path: The runner's socket.
        process: The name of the stage, or ORCHESTRATOR.
    """

    def __init__(self, path: str, process: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._orders = self._connect(f"orders {process} {os.getpid()}")
        self._orders.readline()
        threading.Thread(target=self._obey, daemon=True).start()
        self._reports = self._connect(f"reports {process}")
        self._is_wanted = self._reports.readline() == GO_ON

    def reached(self) -> None:
        """Report that the next batch has come."""
        with self._lock:
            if self._is_wanted:
                self._reports.write(b"batch\n")
                self._is_wanted = self._reports.readline() == GO_ON

    def _connect(self, hello: str) -> Any:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self._path)
        file = connection.makefile("rwb", buffering=0)
        file.write(f"{hello}\n".encode())
        return file

    def _obey(self) -> None:
        while self._orders.readline() == CUT:
            _cut_connections(self._path)
            self._orders.write(GO_ON)


def _cut_connections(spared: str) -> None:
    """Shut down every connection of this process, except those to ``spared``."""
    for found in psutil.Process().net_connections("all"):
        with contextlib.suppress(OSError):
            connection = socket.socket(fileno=os.dup(found.fd))
            with connection:
                # A pair of sockets has no names; asyncio wakes itself by one.
                peer = connection.getpeername()
                name = connection.getsockname() or peer
                if name and peer != spared:
                    connection.shutdown(socket.SHUT_RDWR)


def _process_name() -> str:
    """Return the name of the stage that this process serves, or ORCHESTRATOR."""
    words = sys.argv[1:3]
    return words[1] if words[:1] == ["serve"] else ORCHESTRATOR


_PROCESS = _process_name()
_REPORTER = Reporter(os.environ[SOCKET], _PROCESS) if SOCKET in os.environ else None


def _reached(stage: str) -> None:
    if _REPORTER is not None and stage == _PROCESS:
        _REPORTER.reached()


def _reporting(stage: Stage[Any, Any]) -> Stage[Any, Any]:
    function: Callable[[Any], Any] = stage.function

    def reports(message: Any) -> Any:
        _reached(stage.name)
        return function(message)

    return replace(stage, function=reports)


def _read(
    spec: Any, limits: BatchLimits, max_records: int, inputs: Opener
) -> Iterator[Output[Any]]:
    for output in EVENTS.source.read(spec, limits, max_records, inputs):
        _reached(INGEST)
        yield output


class ReportingTotals(TotalsByType):
    """The result of `events`; reports each batch, and that it is to be published."""

    def add(self, totals: Totals, /) -> bytes:
        """Report the batch first."""
        _reached(SINK)
        return super().add(totals)

    def finish(self) -> bytes:
        """Report as if there were one more batch."""
        _reached(SINK)
        return super().finish()


WORKLOAD = replace(
    EVENTS,
    source=replace(EVENTS.source, read=_read),
    transforms=tuple(map(_reporting, EVENTS.transforms)),
    new_result=ReportingTotals,
)
