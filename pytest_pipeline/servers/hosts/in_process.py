"""A server in threads of this process."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pipeline.errors import StageError
from pipeline.transport.folders import ServedFolders
from pipeline.transport.server import RpcServer, StageServer
from pytest_pipeline.servers.aio import AioRpcServer
from pytest_pipeline.servers.hosts.base import GRACE_S
from pytest_pipeline.servers.pause_gate import PauseGate, PauseInterceptor
from pytest_pipeline.servers.servicers import UserServicer
from pytest_pipeline.servers.specification import ServerSpec, WorkloadStage
from pytest_pipeline.servers.workspace import Workspace


class InProcessHost:
    """A server in threads of this process, with names that no other server uses."""

    handshake: Mapping[str, Any] = MappingProxyType({})

    def __init__(
        self,
        spec: ServerSpec,
        what: WorkloadStage | UserServicer,
        workspace: Workspace,
    ) -> None:
        self._what = what
        self._label = workspace.unique(spec.name)
        self._bind = self.address = workspace.new_bind(spec.transport)
        self._credentials = workspace.server_credentials(spec.transport)
        self._served = workspace.served
        self._gate = PauseGate()
        self._log = _ThreadLog(f"{self._label}_")
        self._server: RpcServer | AioRpcServer | None = None
        self._ending = ""

    @property
    def pid(self) -> int:
        """The id of this process."""
        return os.getpid()

    @property
    def ending(self) -> str:
        """How the server was ended; it can't end by itself."""
        return self._ending

    @property
    def log(self) -> str:
        """What the threads of the server have logged."""
        return self._log.text

    @property
    def threads(self) -> frozenset[threading.Thread]:
        """The threads of the server."""
        return frozenset(
            thread
            for thread in threading.enumerate()
            if thread.name.startswith(f"{self._label}_")
        )

    def launch(self) -> None:
        """Start the server, at the address that it had before if that is free."""
        __tracebackhide__ = True
        # It may have been closed while there was no server.
        self._gate.open()
        self._log.attach()
        try:
            try:
                self._server = self._serve(self.address)
            except StageError:
                if self.address == self._bind:
                    raise
                self._server = self._serve(self._bind)
        except BaseException:
            self._log.detach()
            raise
        self.address = self._server.address
        self._ending = ""

    def _serve(self, bind: str) -> RpcServer | AioRpcServer:
        __tracebackhide__ = True
        what = self._what
        if isinstance(what, UserServicer):
            return what.serve(self._label, bind, self._credentials, self._gate)
        return StageServer(
            what.workload,
            what.stage,
            bind,
            ServedFolders([self._served]),
            self._credentials,
            [PauseInterceptor(self._gate)],
            label=self._label,
        )

    def wait_bound(self, deadline: float) -> None:
        """Return at once: `launch` binds the address."""

    def wait_ended(self, timeout_s: float) -> None:
        """Return at once: the server does not end by itself."""

    def stop(self) -> None:
        """Let open calls finish for a while, then end the server."""
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


class _ThreadLog(logging.Handler):
    """Keeps what is logged in threads with a name that starts with ``prefix``."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = prefix
        self._lines: list[str] = []
        self.setFormatter(
            logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s")
        )

    @property
    def text(self) -> str:
        """All records, one line or more for each."""
        return "".join(f"{line}\n" for line in self._lines)

    def attach(self) -> None:
        """Start listening."""
        logging.getLogger().addHandler(self)

    def detach(self) -> None:
        """Stop listening."""
        logging.getLogger().removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record of one of the threads."""
        if (record.threadName or "").startswith(self._prefix):
            with contextlib.suppress(Exception):
                self._lines.append(self.format(record))
