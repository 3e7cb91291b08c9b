"""Where a server lives: in threads of this process, in a process, or elsewhere.

A host starts one server and can end, pause and outlive it; `Server` is the handle that
tests get. All raise StageError where a server does not start, and UsageError where it
can't be done with theirs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from pipeline.errors import StageError, UsageError
from pipeline.transport.processes import ServerProcess
from pytest_pipeline.options import Hosting
from pytest_pipeline.servers.pause_gate import PauseGate

# How long open calls may go on when a server is asked to stop.
GRACE_S = 5.0


class Host(Protocol):
    """Where a server lives."""

    #: What the reader of a report calls this kind of host.
    kind: Hosting
    #: Where the server listens, once it is started.
    address: str

    @property
    def pid(self) -> int | None:
        """The process that the server is in; None where that is not known."""

    @property
    def ending(self) -> str:
        """How the server ended; empty while it runs."""

    @property
    def handshake(self) -> Mapping[str, Any]:
        """What the server said of itself when it was started."""

    @property
    def log(self) -> str:
        """What the server has logged since it was made."""

    def launch(self) -> None:
        """Start the server, and return before it is ready."""

    def wait_bound(self, deadline: float) -> None:
        """Wait until the address is known, or until a time of the monotonic clock."""

    def wait_ended(self, timeout_s: float) -> None:
        """Wait so long for the server to end, if it does so by itself."""

    def stop(self) -> None:
        """End the server in good order, and wait until it is gone."""

    def kill(self) -> None:
        """End the server at once, and wait until it is gone."""

    def pause(self) -> None:
        """Let the server stand still, with its connections open."""

    def resume(self) -> None:
        """Let the server go on."""


class RunningServer(Protocol):
    """A server in threads of this process; see `RpcServer`."""

    address: str

    def drain(self, grace_s: float = ...) -> None:
        """Refuse new streams, let the open ones finish, stop after ``grace_s``."""

    def stop_now(self) -> None:
        """Cut the streams that are still open."""


class InProcessHost:
    """A server in threads of this process.

    ``start`` binds a server whose messages pass the pause gate, and whose threads have
    names that start with ``name`` and an underscore.
    """

    kind: Hosting = "inprocess"
    handshake: Mapping[str, Any] = MappingProxyType({})

    def __init__(
        self, name: str, start: Callable[[str, PauseGate], RunningServer], bind: str
    ) -> None:
        self.address = bind
        self._prefix = f"{name}_"
        self._start = start
        self._bind = bind
        self._gate = PauseGate()
        self._log = ThreadLog(self._prefix)
        self._server: RunningServer | None = None
        self._ending = ""

    @property
    def pid(self) -> int:
        """The id of this process."""
        return os.getpid()

    @property
    def ending(self) -> str:
        """How it was ended; it can't end by itself."""
        return self._ending

    @property
    def log(self) -> str:
        """What its threads have logged."""
        return self._log.text

    @property
    def threads(self) -> frozenset[threading.Thread]:
        """The threads that serve."""
        return frozenset(
            thread
            for thread in threading.enumerate()
            if thread.name.startswith(self._prefix)
        )

    def launch(self) -> None:
        """Bind and start, at the address that it had before if that can be had."""
        # It may have been closed when there was no server.
        self._gate.open()
        self._log.attach()
        try:
            try:
                self._server = self._start(self.address, self._gate)
            except StageError:
                if self.address == self._bind:
                    raise
                self._server = self._start(self._bind, self._gate)
        except BaseException:
            self._log.detach()
            raise
        self.address = self._server.address
        self._ending = ""

    def wait_bound(self, deadline: float) -> None:
        """Return: it is bound as it is launched."""

    def wait_ended(self, timeout_s: float) -> None:
        """Return: it does not end by itself."""

    def stop(self) -> None:
        """Let open calls finish for a while."""
        self._end("stopped", GRACE_S)

    def kill(self) -> None:
        """Cut open calls."""
        self._end("killed", 0.0)

    def _end(self, ending: str, grace_s: float) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        if not grace_s:
            server.stop_now()
        self._gate.open()
        server.drain(grace_s)
        self._ending = ending
        self._log.detach()

    def pause(self) -> None:
        """Close the pause gate."""
        self._gate.close()

    def resume(self) -> None:
        """Open the pause gate."""
        self._gate.open()


class ProcessHost:
    """A server in a process of its own, which says where it listens.

    ``command`` makes its command from the address to bind; a command that takes none
    may choose another. ``environment`` is added to that of this process.
    """

    kind: Hosting = "subprocess"

    def __init__(
        self,
        name: str,
        command: Callable[[str], Sequence[str]],
        bind: str,
        log: Path,
        *,
        lifeline: bool,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.address = bind
        self._name = name
        self._command = command
        self._bind = bind
        self._log = log
        self._lifeline = lifeline
        self._environment = environment
        self._process: ServerProcess | None = None
        self._ending = ""

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        return self._process.pid if self._process else None

    @property
    def ending(self) -> str:
        """How the process ended; empty while it runs."""
        if self._process is not None:
            return self._process.ending
        return self._ending

    @property
    def handshake(self) -> Mapping[str, Any]:
        """What was in the one line that the process printed."""
        return self._process.handshake if self._process else {}

    @property
    def log(self) -> str:
        """What the process has written to its standard error."""
        try:
            return self._log.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def launch(self) -> None:
        """Start the process."""
        self._process = ServerProcess(
            self._name,
            self._command(self.address),
            self._log,
            lifeline=self._lifeline,
            environment=self._environment,
        )

    def wait_bound(self, deadline: float) -> None:
        """Wait for the one line of the start-up handshake."""
        if self._process is None:
            raise StageError(f"stage {self._name} was not launched")
        try:
            self._process.wait_ready(deadline)
        except StageError:
            self.kill()
            # Its port may have been taken since; any other will do.
            self.address = self._bind
            raise
        self.address = self._process.address

    def wait_ended(self, timeout_s: float) -> None:
        """Wait for the process."""
        if self._process is not None:
            self._process.wait_ended(timeout_s)

    def stop(self) -> None:
        """Send SIGTERM, and SIGKILL where that is not heeded in time."""
        self._end(signal.SIGTERM, GRACE_S)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._end(signal.SIGKILL, GRACE_S)

    def _end(self, number: signal.Signals, grace_s: float) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.signal(number)
        process.signal(signal.SIGCONT)
        process.reap(time.monotonic() + grace_s)
        self._ending = process.ending

    def pause(self) -> None:
        """Send SIGSTOP, and wait until it has come."""
        if self._process is not None:
            self._process.pause()

    def resume(self) -> None:
        """Send SIGCONT."""
        if self._process is not None:
            self._process.signal(signal.SIGCONT)


class ExternalHost:
    """A server that somebody else has started and will stop."""

    kind: Hosting = "external"
    handshake: Mapping[str, Any] = MappingProxyType({})
    pid = None
    ending = ""
    log = ""

    def __init__(self, name: str, address: str) -> None:
        self.address = address
        self._name = name

    def launch(self) -> None:
        """Do nothing: it runs already."""

    def wait_bound(self, deadline: float) -> None:
        """Return: the address is known."""

    def wait_ended(self, timeout_s: float) -> None:
        """Return: nobody here would know."""

    def stop(self) -> None:
        """Leave it running."""

    def kill(self) -> None:
        """Refuse."""
        self._refuse("kill")

    def pause(self) -> None:
        """Refuse."""
        self._refuse("pause")

    def resume(self) -> None:
        """Refuse."""
        self._refuse("resume")

    def _refuse(self, what: str) -> None:
        raise UsageError(
            f"stage {self._name} at {self.address}: can't {what} a server that "
            f"somebody else has started; use --pipeline-servers subprocess"
        )


class ThreadLog(logging.Handler):
    """Keeps what threads with a name that starts with ``prefix`` log."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = prefix
        self._lines: list[str] = []
        self.setFormatter(
            logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s")
        )

    @property
    def text(self) -> str:
        """All that they have logged, one line or more for each record."""
        return "".join(f"{line}\n" for line in self._lines)

    def attach(self) -> None:
        """Start to listen."""
        logging.getLogger().addHandler(self)

    def detach(self) -> None:
        """Listen no more."""
        logging.getLogger().removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record if one of the threads made it."""
        if (record.threadName or "").startswith(self._prefix):
            with contextlib.suppress(Exception):
                self._lines.append(self.format(record))
