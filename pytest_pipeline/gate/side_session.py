"""A session of pytest at one revision, whose benchmarks run when they are told to.

The other end is ``worker.py``, which says what the messages are.
"""

from __future__ import annotations

import functools
import json
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

_PLUGIN = "pipeline_gate_worker"
#: How long a benchmark may be silent; a call of one may take minutes.
_PATIENCE_S = 600.0
#: How long a session may take to end, servers of its fixtures included.
_LEAVE_S = 20.0
_ASIDES = ("note:", "hint:", "[notice]")


@dataclass(frozen=True)
class Side:
    """One revision, checked out and built."""

    #: How messages name it.
    name: str
    #: Where its tests are run.
    folder: Path
    python: Path
    environ: Mapping[str, str]


class SideSession:
    """A session of one side; use it as a context, whose end ends it.

    ``arguments`` choose the benchmarks. What the session prints goes to ``log``.
    ``padding`` shifts what it has in memory by so many bytes. Whatever fails raises
    GateFaultError with side and benchmark.
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
        # A folder with that file alone: the rest of this version must not be found.
        plugins = log.with_suffix(".plugins")
        plugins.mkdir(exist_ok=True)
        shutil.copyfile(worker.__file__, plugins / f"{_PLUGIN}.py")
        with theirs, log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - the user's own tests
                # As `pytest` and not as `python -m pytest`: without this folder first.
                [
                    *(*_unshuffled(), str(side.python), "-P"),
                    *("-m", "pytest", "-p", _PLUGIN, *arguments),
                ],
                cwd=side.folder,
                env={
                    **side.environ,
                    "PYTHONPATH": str(plugins),
                    # One order of sets on both sides.
                    "PYTHONHASHSEED": "0",
                    # The stack begins below the environment.
                    "PIPELINE_GATE_PADDING": "." * padding,
                    worker.SOCKET: str(theirs.fileno()),
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                # So that Ctrl-C reaches the gate alone, which then ends it in order.
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
        """Return the benchmarks and their own thresholds, in the order of the files."""
        message = self._next("collected")
        if message["problems"]:
            raise self._fault(f"can't collect {message['problems'][0]}")
        for name, threshold in message["benchmarks"].items():
            if threshold is not None and not _is_threshold(threshold):
                raise self._fault(
                    f"{name}: @pytest.mark.{worker.MARKER}(threshold={threshold!r}) "
                    f"must be more than 0, such as 0.1"
                )
        benchmarks: dict[str, float | None] = message["benchmarks"]
        return benchmarks

    def begin(self, name: str, following: str | None) -> None:
        """Have a benchmark begin; ``following`` is the one that will be the next."""
        self._say(do="run", name=name, next=following)

    def is_ready(self, name: str) -> str:
        """Wait until samples of it can be had; return why it is skipped, if so."""
        message = self._next("ready", "ended")
        if message["kind"] == "ready":
            return ""
        return self._ended(name, message)

    def seconds(self, name: str, calls: int, pieces: int, turn: int) -> float:
        """Return how long so many calls take, in the quickest of the pieces.

        Samples of one ``turn`` begin on the same core.
        """
        self._say(do="sample", calls=calls, pieces=pieces, turn=turn)
        message = self._next("seconds", "ended")
        if message["kind"] == "ended":
            self._ended(name, message)
            raise self._fault(f"{name}: ended while it was measured")
        seconds: float = message["seconds"]
        return seconds

    def end(self, name: str) -> None:
        """Have the test of a benchmark go on to its end."""
        self._say(do="done")
        self._ended(name, self._next("ended"))

    def close(self) -> None:
        """End the session, and what it has started, if need be by force."""
        with suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)
        self._lines.close()
        self._channel.close()
        end_group(self._process, _LEAVE_S)

    def _ended(self, name: str, message: Mapping[str, Any]) -> str:
        """Return why a test was skipped; raise if it failed."""
        if message["problem"]:
            raise self._fault(f"{name} failed: {message['problem']}")
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
            f"pytest ended with {self._process.poll()}: {last_line(self._log)}"
        )

    def _fault(self, problem: str) -> GateFaultError:
        return GateFaultError(f"{self.side.name}: {problem}")


@functools.cache
def _unshuffled() -> tuple[str, ...]:
    """Return the command by which a program has no random addresses, if there is one.

    Where its memory lies makes a tight loop up to a tenth slower or faster for as long
    as a process lives. So both sides have it in the same places, which padding shifts
    from one pair of processes to the next. A container may forbid it.
    """
    command = ("setarch", "-R")
    if shutil.which(command[0]) is None:
        return ()
    done = subprocess.run([*command, "true"], capture_output=True, check=False)  # noqa: S603
    return () if done.returncode else command


def last_line(log: Path) -> str:
    """Return the last line that says something, or that there is none."""
    lines = map(str.strip, log.read_text(errors="replace").split("\n"))
    # pip's errors are followed by what else there is to know.
    said = [line for line in lines if line and not line.startswith(_ASIDES)]
    return said[-1] if said else "it said nothing"


def _is_threshold(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
