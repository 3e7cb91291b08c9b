"""Start stage servers as processes, wait until they are ready, and stop them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal, Self, cast

from pipeline.errors import StageError, one_line
from pipeline.interrupts import uninterrupted
from pipeline.stages import INGEST
from pipeline.transport import disclosure
from pipeline.transport.environment import set_defaults
from pipeline.transport.process_group import end_group, signal_group
from pipeline.transport.process_output import ProcessOutput

Transport = Literal["unix", "tcp"]

# A server without open streams stops in milliseconds.
_STOP_S = 5.0
# The last line of a log is looked for in so much of its end.
_TAIL_BYTES = 16 * 1024
# A socket's path has at most 107 bytes; our file names take up to 30 of them.
_MAX_FOLDER_BYTES = 75


class ServerProcess:
    """A stage server that this process has started and will stop."""

    def __init__(
        self,
        stage: str,
        command: Sequence[str],
        log: Path,
        *,
        lifeline: bool = True,
        standard_input: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start the process.

        Args:
            stage: Name of the stage, for errors.
            command: The program and its arguments.
            log: File that its standard error is appended to, and of its standard
                output everything but the handshake.
            lifeline: Add the option ``--lifeline`` of `pipeline serve`, by which the
                server stops when this process ends.
            standard_input: Let it read the standard input of this process.
            environment: Added to the environment of this process.

        Raises:
            StageError: It can't be started.
        """
        self.stage = stage
        #: The address that it listens on; empty until it is ready.
        self.address = ""
        #: The whole handshake; empty until it is ready.
        self.handshake: Mapping[str, Any] = {}
        self._log = log
        self._is_reaped = False
        # The server stops when the write end closes, however this process ends.
        read_end, self._lifeline = os.pipe()
        inherited = {**os.environ, **(environment or {})}
        set_defaults(inherited)
        inherited.setdefault(disclosure.VARIABLE, disclosure.own_secret())
        # In a group of its own, a server does not get the Ctrl-C that is for the
        # orchestrator. But only the foreground group may read from the terminal.
        self._has_group = not (standard_input and os.isatty(0))
        try:
            with log.open("ab") as stderr:
                self._process = subprocess.Popen(  # noqa: S603 - what the user asked for
                    [*command, *(["--lifeline", str(read_end)] if lifeline else [])],
                    stdin=None if standard_input else subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    pass_fds=(read_end,) if lifeline else (),
                    env=inherited,
                    process_group=0 if self._has_group else None,
                )
        except OSError as error:
            os.close(self._lifeline)
            raise StageError(
                f"stage {stage} can't be started: {one_line(error)}"
            ) from error
        finally:
            os.close(read_end)
        pipe = cast("IO[bytes]", self._process.stdout)  # started with stdout=PIPE
        self._output = ProcessOutput(stage, pipe, log)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def wait_ready(self, deadline: float) -> None:
        """Wait for the handshake, and set `address` and `handshake` from it.

        Lines that are no handshake are skipped, into the log.

        Args:
            deadline: Until when to wait, by `time.monotonic`.

        Raises:
            StageError: The server has ended, or has not printed its handshake in time.
        """
        said = self._output.handshake(deadline)
        if not said:
            why = self.exit_summary() or "its process still runs"
            if line := self._output.first_line:
                why = (
                    f"it printed {line[:100]!r}, not one line of JSON with its "
                    f"address; {why}"
                )
            raise StageError(f"stage {self.stage} did not start: {why}")
        self.address = said["address"]
        self.handshake = dict(said)
        self._output.follow()

    @property
    def threads(self) -> frozenset[threading.Thread]:
        """The threads of this process that read its output."""
        return frozenset([self._output.thread] if self._output.thread else [])

    @property
    def ending(self) -> str:
        """How the process ended; empty while it runs."""
        status = self._process.poll()
        if status is None:
            return ""
        if status < 0:
            return f"ended by {signal.Signals(-status).name}"
        return f"ended with exit code {status}"

    def wait_ended(self, timeout_s: float) -> None:
        """Wait up to ``timeout_s`` for the process to end by itself."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=timeout_s)

    def exit_summary(self) -> str:
        """Return in one line how the process ended, and the last line of its log.

        Empty while it runs.
        """
        # A connection breaks a moment before the process can be waited for.
        self.wait_ended(1.0)
        how = self.ending
        if not how:
            return ""
        with self._log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = log.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"{how}; it last said: {last}" if last else how

    def stop(self) -> None:
        """Ask the process to stop, by SIGTERM."""
        self.signal(signal.SIGTERM)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and to the processes that it has started."""
        if self._is_reaped:
            return  # another process may have the same number by now
        if self._has_group:
            signal_group(self.pid, number)
        else:
            self._process.send_signal(number)

    def pause(self) -> None:
        """Stop the process until SIGCONT, and return once it has stopped.

        A process on another core runs on for a moment after the signal was sent. On
        platforms other than Linux it may still do so when this returns.
        """
        self.signal(signal.SIGSTOP)
        if sys.platform == "linux":
            # WNOWAIT leaves the state to be waited for again, so no end is missed.
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def reap(self, deadline: float) -> None:
        """Wait for the process to end, kill it at ``deadline``, and reap it.

        May be called twice.
        """
        if self._is_reaped:
            return
        wait_s = max(0.0, deadline - time.monotonic())
        if self._has_group:
            end_group(self._process, wait_s)
        else:
            self.wait_ended(wait_s)
            self._process.kill()
            self._process.wait()
        self._is_reaped = True
        self._output.close()
        os.close(self._lifeline)


class StageServers:
    """Stage servers that are started together and stopped together."""

    def __init__(
        self,
        workload: str,
        stages: Sequence[str],
        *,
        transport: Transport = "unix",
        folders: Mapping[str, Sequence[Path]] | None = None,
        programs: Mapping[str, Sequence[str]] | None = None,
        standard_input: bool = False,
        urls: bool = False,
        start_timeout_s: float = 30.0,
    ) -> None:
        """Start a server for each of ``stages`` and wait until all are ready.

        Args:
            workload: Name of the workload.
            stages: Names of stages; one that is there twice gets two servers.
            transport: Listen on unix sockets or on TCP ports of this machine.
            folders: The folders that each of ingest and sink may read and write.
            programs: The program of each stage that this package does not serve; see
                `serve_command`.
            standard_input: Let ingest read the standard input of this process.
            urls: Let ingest open URLs for this process.
            start_timeout_s: Seconds that all of them together have to start.

        Raises:
            StageError: A server did not start; none is left running.
        """
        self._workload = workload
        self._transport = transport
        self._folders = folders or {}
        self._programs = programs or {}
        self._standard_input = standard_input
        self._urls = urls
        self._start_timeout_s = start_timeout_s
        with uninterrupted():
            self._home = new_folder()
        self.processes: list[ServerProcess] = []
        #: The position in `processes` of each address that a server has or had.
        self._position_of: dict[str, int] = {}
        try:
            for position, stage in enumerate(stages):
                with uninterrupted():
                    self.processes.append(self._start(position, stage))
            deadline = time.monotonic() + start_timeout_s
            for position in range(len(self.processes)):
                self._wait_ready(position, deadline)
        except BaseException:
            self.stop()
            raise

    def _start(self, position: int, stage: str) -> ServerProcess:
        socket = self._home / f"{position}.sock"
        # One that a killed server has left keeps programs in Go from listening there.
        socket.unlink(missing_ok=True)
        command = serve_command(
            self._workload,
            stage,
            bind=f"unix:{socket}" if self._transport == "unix" else "127.0.0.1:0",
            folders=self._folders.get(stage, ()),
            program=self._programs.get(stage, ()),
        )
        reads = self._standard_input and stage == INGEST
        if reads:
            command.append("--stdin")
        if self._urls and stage == INGEST:
            command.append("--urls")
        return ServerProcess(
            stage, command, self._home / f"{position}.log", standard_input=reads
        )

    def _wait_ready(self, position: int, deadline: float) -> None:
        process = self.processes[position]
        process.wait_ready(deadline)
        self._position_of[process.address] = position

    @property
    def addresses(self) -> defaultdict[str, list[str]]:
        """The addresses of the servers of each stage; none for any other stage."""
        addresses: defaultdict[str, list[str]] = defaultdict(list)
        for process in self.processes:
            addresses[process.stage].append(process.address)
        return addresses

    @property
    def ended(self) -> list[str]:
        """An address of each server that has ended and was not replaced."""
        known = {position: address for address, position in self._position_of.items()}
        return [
            known[position]
            for position, process in enumerate(self.processes)
            if process.ending
        ]

    def exit_summary(self, address: str) -> str:
        """Return how the server at ``address`` ended.

        Empty if it runs, or is none of these.
        """
        position = self._position_of.get(address)
        return "" if position is None else self.processes[position].exit_summary()

    def kill(self, address: str) -> None:
        """Kill the server at ``address`` if it is one of these."""
        position = self._position_of.get(address)
        if position is not None:
            self.processes[position].signal(signal.SIGKILL)

    def end(self, address: str) -> bool:
        """Stop the server at ``address``, and wait until it is gone.

        Returns:
            Whether it is one of these.
        """
        position = self._position_of.get(address)
        if position is None:
            return False
        process = self.processes[position]
        process.stop()
        process.reap(time.monotonic() + _STOP_S)
        return True

    def replace(self, address: str) -> str:
        """Kill the server at ``address``, start another, and wait until it is ready.

        Returns:
            The address of the new server; ``address`` if it is none of these.

        Raises:
            StageError: The new server did not start.
        """
        position = self._position_of.get(address)
        if position is None:
            return address
        lost = self.processes[position]
        lost.signal(signal.SIGKILL)
        lost.reap(time.monotonic())
        self.processes[position] = self._start(position, lost.stage)
        self._wait_ready(position, time.monotonic() + self._start_timeout_s)
        return self.processes[position].address

    @uninterrupted()
    def stop(self) -> None:
        """Stop all servers, and wait until they are gone."""
        for process in self.processes:
            process.stop()
        deadline = time.monotonic() + _STOP_S
        for process in self.processes:
            process.reap(deadline)
        self.processes.clear()
        shutil.rmtree(self._home, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def new_folder() -> Path:
    """Make a temporary folder whose path is short enough for sockets in it."""
    folder = tempfile.gettempdir()
    if len(os.fsencode(folder)) > _MAX_FOLDER_BYTES:
        folder = "/tmp"  # noqa: S108
    return Path(tempfile.mkdtemp(prefix="pipeline-", dir=folder))


def serve_command(
    workload: str,
    stage: str,
    *,
    bind: str,
    folders: Sequence[Path] = (),
    program: Sequence[str] = (),
) -> list[str]:
    """Return the command that serves a stage.

    Args:
        workload: Name of the workload.
        stage: Name of the stage.
        bind: Where it is to listen.
        folders: What it may read and write.
        program: The words that start a program with these options, and ``--stage``; by
            default this Python and this package.
    """
    # -P keeps a file or folder named pipeline in the current one from being imported.
    python = (sys.executable, "-P", "-m", "pipeline", "serve", stage)
    # The run limits its batches, and a line may be as long as its user says.
    limits = ("--max-message-bytes", "0")
    command = [*program, "--stage", stage] if program else [*python, *limits]
    command += ["--workload", workload, "--bind", bind]
    for folder in folders:
        command += ["--folder", str(folder)]
    return command
