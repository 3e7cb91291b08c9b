"""What every host does, wherever its server runs."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Protocol

# How long open calls may go on after a server is asked to stop.
GRACE_S = 5.0


class Host(Protocol):
    """Where one server runs.

    Methods raise StageError if the server does not start, and UsageError if a server
    that was started elsewhere can't do what is asked.
    """

    #: Where the server listens; known after `wait_bound`.
    address: str

    @property
    def pid(self) -> int | None:
        """The process of the server; None if it is not known."""

    @property
    def threads(self) -> frozenset[threading.Thread]:
        """The threads of this process that the server needs."""

    @property
    def ending(self) -> str:
        """How the server ended; empty while it runs."""

    @property
    def handshake(self) -> Mapping[str, Any]:
        """The start-up handshake; empty for a server that printed none."""

    @property
    def log(self) -> str:
        """Everything the server has logged since the host was made."""

    def launch(self) -> None:
        """Start the server; return before it is ready."""

    def wait_bound(self, deadline: float) -> None:
        """Wait until the address is known, or until ``deadline``, a monotonic time."""

    def wait_ended(self, timeout_s: float) -> None:
        """Wait for the server to end by itself, but no longer than that."""

    def stop(self) -> None:
        """Let open calls finish for a while, then end the server."""

    def kill(self) -> None:
        """End the server at once."""

    def pause(self) -> None:
        """Suspend the server; its connections stay open."""

    def resume(self) -> None:
        """Continue after `pause`."""
