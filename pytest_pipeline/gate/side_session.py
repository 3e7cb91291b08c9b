"""A pytest session of one side, driven over a socket.

The other end is ``worker.py``, which documents the messages.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pipeline.transport.process_group import end_group
from pytest_pipeline.gate import worker
from pytest_pipeline.gate.errors import GateFaultError
from pytest_pipeline.measure import instrumentation

#: The package that `worker.py` is part of, on a side.
_PACKAGE = "pipeline_gate_side"
#: Timeout for a message; one call of a benchmark may take minutes.
_PATIENCE_S = 600.0
#: Timeout for the end of a session, including the servers of its fixtures.
_LEAVE_S = 20.0
_ASIDES = ("note:", "hint:", "[notice]")


@dataclass(frozen=True)
class Side:
    """One revision, checked out and built."""

    #: The name in messages.
    name: str
    #: The folder in which its tests run.
    folder: Path
    python: Path
    environ: Mapping[str, str]


class SideSession:
    """A pytest session of one side, as a context manager that ends it.

    Every method raises GateFaultError if the session or a benchmark fails; the message
    names the side and the benchmark.

    Args:
        side: The side whose benchmarks run.
        arguments: Arguments for pytest, which select the benchmarks.
        log: The file for the output of the session.
        padding: Bytes by which its memory is shifted.
    """

    def __init__(
        self, side: Side, arguments: Sequence[str], log: Path, padding: int = 0
    ) -> None:
        self.side = side
        self._log = log
        ours, theirs = socket.socketpair()
        ours.settimeout(_PATIENCE_S)
        self._channel = ours
        self._lines = ours.makefile("r", encoding="utf-8")
        # Its own folder: the side must not import the rest of this package.
        plugins = log.with_suffix(".plugins")
        plugin = _copy_worker(plugins)
        with theirs, log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - the user's own tests
                # -P: like the pytest command, without the current folder on sys.path.
                [
                    *(*_unshuffled(), str(side.python), "-P"),
                    *("-m", "pytest", "-p", plugin, *arguments),
                    # pytest-benchmark, even if plugins are not loaded by themselves.
                    *("-p", "benchmark"),
                ],
                cwd=side.folder,
                env={
                    **side.environ,
                    "PYTHONPATH": _joined(plugins, side.environ.get("PYTHONPATH")),
                    # The same order of sets on both sides.
                    "PYTHONHASHSEED": "0",
                    # The stack begins below the environment, so this shifts it.
                    "PIPELINE_GATE_PADDING": "." * padding,
                    worker.SOCKET: str(theirs.fileno()),
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                # Ctrl-C must reach the gate only, which then ends this session.
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def collected(self) -> dict[str, float | None]:
        """Return the benchmarks with the thresholds of their markers, in file order."""
        message = self._next("collected")
        if message["problems"]:
            raise self._fault(
                f"can't collect {message['problems'][0]}", message["report"]
            )
        for name, threshold in message["benchmarks"].items():
            if threshold is not None and not _is_threshold(threshold):
                raise self._fault(
                    f"{name}: @pytest.mark.{worker.MARKER}(threshold={threshold!r}) "
                    f"must be more than 0, such as 0.1"
                )
        benchmarks: dict[str, float | None] = message["benchmarks"]
        return benchmarks

    def begin(self, name: str, following: str | None) -> None:
        """Start a benchmark; ``following`` is the one that will be started next."""
        self._say(do="run", name=name, next=following)

    def is_ready(self, name: str) -> str:
        """Wait until it can be sampled; return why it is skipped, or nothing."""
        message = self._next("ready", "ended")
        if message["kind"] == "ready":
            return ""
        return self._ended(name, message)

    def seconds(self, name: str, calls: int, pieces: int, turn: int) -> float:
        """Return the seconds that ``calls`` took in the quickest of the pieces.

        Args:
            name: The benchmark that is running.
            calls: Calls per piece.
            pieces: How many pieces to time.
            turn: Number of the turn. Both sides begin a turn on the same core.
        """
        self._say(do="sample", calls=calls, pieces=pieces, turn=turn)
        message = self._next("seconds", "ended")
        if message["kind"] == "ended":
            self._ended(name, message)
            raise self._fault(f"{name}: ended while it was measured")
        seconds: float = message["seconds"]
        return seconds

    def end(self, name: str) -> None:
        """Let the test of a benchmark finish."""
        self._say(do="done")
        self._ended(name, self._next("ended"))

    def close(self) -> None:
        """End the session and all its processes, by force if necessary."""
        with suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)
        self._lines.close()
        self._channel.close()
        end_group(self._process, _LEAVE_S)

    def _ended(self, name: str, message: Mapping[str, Any]) -> str:
        """Return why the test was skipped, or nothing; raise if it failed."""
        if message["problem"]:
            raise self._fault(f"{name} failed: {message['problem']}", message["report"])
        skipped: str = message["skipped"]
        return skipped

    def _say(self, **message: Any) -> None:
        try:
            self._channel.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            raise self._died() from None

    def _next(self, *kinds: str) -> dict[str, Any]:
        try:
            line = self._lines.readline()
        except TimeoutError:
            raise self._fault(f"has said nothing for {_PATIENCE_S:.0f} s") from None
        except OSError:
            line = ""
        if not line:
            raise self._died()
        message: dict[str, Any] = json.loads(line)
        if message["kind"] not in kinds:
            raise self._fault(f"said {message['kind']} where {kinds[0]} was due")
        return message

    def _died(self) -> GateFaultError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_LEAVE_S)
        return self._fault(
            f"pytest ended with {self._process.poll()}: {last_line(self._log)}",
            self._log.read_text(errors="replace"),
        )

    def _fault(self, problem: str, output: str = "") -> GateFaultError:
        return GateFaultError(
            f"{self.side.name}: {problem}", output=output, log=self._log
        )


def _joined(folder: Path, others: str | None) -> str:
    return os.pathsep.join([str(folder), *([others] if others else [])])


def _copy_worker(folder: Path) -> str:
    """Copy the worker and what it imports below ``folder``; return its module name."""
    for module in (worker, instrumentation):
        path = Path(str(module.__file__))
        place = folder / _PACKAGE / path.parent.name / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    return f"{_PACKAGE}.gate.worker"


@functools.cache
def _unshuffled() -> tuple[str, ...]:
    """Return the command prefix that disables address randomization, if available.

    Memory layout alone can change a tight loop by 10 % for as long as a process lives.
    So both sides get the same layout, and padding shifts it between process pairs. A
    container may forbid this.
    """
    command = ("setarch", "-R")
    if shutil.which(command[0]) is None:
        return ()
    done = subprocess.run([*command, "true"], capture_output=True, check=False)  # noqa: S603
    return () if done.returncode else command


def last_line(log: Path) -> str:
    """Return the last informative line of a log, or a remark that there is none."""
    lines = map(str.strip, log.read_text(errors="replace").split("\n"))
    # pip prints notes and hints after its errors.
    said = [line for line in lines if line and not line.startswith(_ASIDES)]
    return said[-1] if said else "it said nothing"


def _is_threshold(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
