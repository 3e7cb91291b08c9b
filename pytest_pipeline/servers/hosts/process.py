"""A server in a process."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import StageError, UsageError, one_line
from pipeline.transport import disclosure
from pipeline.transport.processes import ServerProcess, serve_command
from pytest_pipeline.options import TLS_TRANSPORTS
from pytest_pipeline.servers.hosts.base import GRACE_S
from pytest_pipeline.servers.servicers import UserServicer
from pytest_pipeline.servers.specification import Command, ServerSpec, WorkloadStage
from pytest_pipeline.servers.workspace import Workspace


class ProcessHost:
    """A server in a process, which prints its address in the start-up handshake."""

    def __init__(
        self,
        spec: ServerSpec,
        what: WorkloadStage | UserServicer | Command,
        workspace: Workspace,
    ) -> None:
        self._name = spec.name
        self._what = what
        self._log = workspace.new_path(spec.name, ".log")
        self._served = workspace.served
        self._pickle = workspace.new_path("servicer", ".pickle")
        if isinstance(what, UserServicer):
            self._pickle.write_bytes(_pickled(spec.name, what))
        self._tls_options: tuple[str, ...] = ()
        # A command chooses its address, and reads its certificates from elsewhere.
        is_command = isinstance(what, Command)
        if spec.transport in TLS_TRANSPORTS and not is_command:
            certificates = workspace.certificates
            self._tls_options = (
                *("--tls-certificate", str(certificates.certificate)),
                *("--tls-key", str(certificates.key)),
            )
            if spec.transport == "mtls":
                self._tls_options += ("--tls-client-ca", str(certificates.root))
        # A process of this package finds the modules that this process finds.
        self._environment = {} if is_command else {"PYTHONPATH": _import_path()}
        # Whoever tests a server wants to know why it fails.
        self._environment[disclosure.VARIABLE] = disclosure.EVERYONE
        self._bind = "" if is_command else workspace.new_bind(spec.transport)
        self.address = self._bind
        self._process: ServerProcess | None = None
        self._ending = ""

    @property
    def pid(self) -> int | None:
        """The id of the process; None if there is none."""
        return self._process.pid if self._process else None

    @property
    def threads(self) -> frozenset[threading.Thread]:
        """The threads of this process that read the output of the server."""
        return self._process.threads if self._process else frozenset()

    @property
    def ending(self) -> str:
        """How the process ended; empty while it runs."""
        if self._process is not None:
            return self._process.ending
        return self._ending

    @property
    def handshake(self) -> Mapping[str, Any]:
        """The line that the process printed when it started."""
        return self._process.handshake if self._process else {}

    @property
    def log(self) -> str:
        """What the process has written to its standard error and output."""
        try:
            return self._log.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def launch(self) -> None:
        """Start the process."""
        if isinstance(self._what, Command):
            _check_program(self._name, self._what.words[0])
        self._process = ServerProcess(
            self._name,
            self._command(),
            self._log,
            lifeline=not isinstance(self._what, Command),
            environment=self._environment,
        )

    def _command(self) -> Sequence[str]:
        what = self._what
        if isinstance(what, Command):
            return what.words_for(self._served)
        if isinstance(what, WorkloadStage):
            words = serve_command(
                what.workload_name,
                what.stage,
                bind=self.address,
                folders=[self._served],
                program=what.program,
            )
        else:
            words = [
                *(sys.executable, "-P", "-m", "pytest_pipeline.servers.child"),
                *(self._name, str(self._pickle), "--bind", self.address),
            ]
        return [*words, *self._tls_options]

    def wait_bound(self, deadline: float) -> None:
        """Wait for the start-up handshake."""
        if self._process is None:
            raise StageError(f"stage {self._name} was not launched")
        try:
            self._process.wait_ready(deadline)
        except StageError:
            self.kill()
            # Another process may have taken the port; any other will do.
            self.address = self._bind
            raise
        self.address = self._process.address

    def wait_ended(self, timeout_s: float) -> None:
        """Wait for the process to end by itself, but no longer than that."""
        if self._process is not None:
            self._process.wait_ended(timeout_s)

    def stop(self) -> None:
        """Send SIGTERM, and SIGKILL if the process has not ended in time."""
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
        """Send SIGSTOP, and wait until it has taken effect."""
        if self._process is not None:
            self._process.pause()

    def resume(self) -> None:
        """Send SIGCONT."""
        if self._process is not None:
            self._process.signal(signal.SIGCONT)


def _check_program(name: str, program: str) -> None:
    """Raise StageError, with the path that was looked for, if there is no program."""
    if os.sep not in program:
        if shutil.which(program) is None:
            raise StageError(
                f"stage {name} can't be started: no program {program} on the PATH "
                f"({os.environ.get('PATH', '')}); give its path"
            )
        return
    path = Path(program)
    # A path is looked for from the current folder.
    shown = f"{program} ({path.absolute()})" if not path.is_absolute() else program
    if path.is_dir():
        raise StageError(f"stage {name} can't be started: {shown} is a folder")
    if not path.exists():
        raise StageError(f"stage {name} can't be started: there is no file {shown}")
    if not os.access(path, os.X_OK):
        raise StageError(
            f"stage {name} can't be started: {shown} is not executable; chmod +x it, "
            f"or name its interpreter first"
        )


def _import_path() -> str:
    return os.pathsep.join(path for path in sys.path if path)


def _pickled(name: str, servicer: UserServicer) -> bytes:
    given = servicer.arguments
    for what, part in (
        (name, servicer.what),
        (f"{name}: add_to_server", servicer.add_to_server),
        (f"{name}: interceptors", given.interceptors),
        (f"{name}: options", given.options),
        (f"{name}: credentials", given.credentials),
    ):
        try:
            pickle.dumps(part)
        except Exception as error:
            raise UsageError(
                f"{what}: can't be sent to a process of its own ({one_line(error)}); "
                f"define it at the top of a module, or give "
                f"stage_server(servers='inprocess')"
            ) from error
    return pickle.dumps(servicer)
