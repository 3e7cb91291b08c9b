"""The servers of a test session: shared, reset between tests, ended together."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from pipeline.errors import PipelineError, StageError
from pytest_pipeline.servers.handle import Server
from pytest_pipeline.servers.specification import ServerSpec
from pytest_pipeline.servers.workspace import Certificates, Workspace


class ServerPool:
    """Keeps servers, shares them, resets them and ends them.

    Args:
        served: Folder below which ingest may read and the sink may write.
    """

    def __init__(self, served: Path) -> None:
        #: All servers that are up.
        self.servers: list[Server] = []
        self._shared: dict[ServerSpec, Server] = {}
        self._failures: dict[tuple[ServerSpec, float], StageError] = {}
        self._workspace = Workspace(served)

    @property
    def certificates(self) -> Certificates:
        """The certificates of this session, made when they are first needed."""
        return self._workspace.certificates

    def shared(self, specs: Iterable[ServerSpec]) -> list[Server]:
        """Return one server for each specification; equal ones get the same server.

        Servers that are not up yet are started side by side, and stay up until the
        pool is closed.

        Raises:
            UsageError: A server can't be started from its specification.
            StageError: A server did not start; none of the new ones is left running.
        """
        wanted = list(specs)
        for spec in wanted:
            # What did not start is not tried again for each test that needs it.
            failure = self._failures.get(_attempt(spec))
            if failure is not None:
                raise failure.with_traceback(None)
        new = {
            spec: Server(spec, self._workspace)
            for spec in dict.fromkeys(wanted)
            if spec not in self._shared
        }
        failed: dict[Server, StageError] = {}
        try:
            self._start(list(new.values()), failed)
        finally:
            self._failures |= {
                _attempt(spec): failed[server]
                for spec, server in new.items()
                if server in failed
            }
        self._shared |= new
        return [self._shared[spec] for spec in wanted]

    def start(self, spec: ServerSpec) -> Server:
        """Start a server that is not shared, for the caller to `release`.

        Raises:
            UsageError: The server can't be started from its specification.
            StageError: The server did not start.
        """
        __tracebackhide__ = True
        server = Server(spec, self._workspace)
        self._start([server], {})
        return server

    def release(self, server: Server) -> None:
        """End a server that `start` returned."""
        if server in self.servers:
            self.servers.remove(server)
            server.close()

    def reset(self, fixtures: Collection[str] = ()) -> None:
        """Bring back every server that the last test used.

        Args:
            fixtures: The fixtures of the next test, whose servers are brought back too:
                a client of an earlier test may have used them unnoticed.
        """
        for server in self.servers:
            if server.used or server.fixture in fixtures:
                server.reset()

    def disconnect(self) -> None:
        """Close the channels and the proxies that a test opened."""
        for server in self.servers:
            server.disconnect()

    def close(self) -> None:
        """End all servers and remove their files."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._workspace.remove)
            for server in self.servers:
                stack.callback(server.close)
        self.servers.clear()
        self._shared.clear()

    def _start(
        self, servers: Sequence[Server], failed: dict[Server, StageError]
    ) -> None:
        """Start servers side by side; end all of them if one does not start.

        Adds that one to ``failed``, with its error.
        """
        __tracebackhide__ = True
        try:
            for step in (Server.launch, Server.wait_ready):
                for server in servers:
                    try:
                        step(server)
                    except StageError as error:
                        failed[server] = error
                        raise
        except BaseException:
            for server in servers:
                with contextlib.suppress(PipelineError):
                    server.close()
            raise
        self.servers.extend(servers)


def _attempt(spec: ServerSpec) -> tuple[ServerSpec, float]:
    """Return what must be the same for a start to fail in the same way."""
    return spec, spec.start_timeout_s
