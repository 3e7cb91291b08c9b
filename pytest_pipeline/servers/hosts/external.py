"""A server that was started elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pipeline.errors import UsageError


class ExternalHost:
    """A server that is neither ended nor paused from here."""

    handshake: Mapping[str, Any] = MappingProxyType({})
    pid = None
    threads: frozenset[threading.Thread] = frozenset()
    ending = ""
    log = ""

    def __init__(self, name: str, address: str) -> None:
        self.address = address
        self._name = name

    def launch(self) -> None:
        """Do nothing: the server already runs."""

    def wait_bound(self, deadline: float) -> None:
        """Return at once: the address is known."""

    def wait_ended(self, timeout_s: float) -> None:
        """Return at once: the end of the server can't be observed."""

    def stop(self) -> None:
        """Leave the server running."""

    def kill(self) -> None:
        """Raise UsageError."""
        self._refuse("kill")

    def pause(self) -> None:
        """Raise UsageError."""
        self._refuse("pause")

    def resume(self) -> None:
        """Raise UsageError."""
        self._refuse("resume")

    def _refuse(self, what: str) -> None:
        raise UsageError(
            f"stage {self._name} at {self.address}: can't {what} a server that "
            f"somebody else has started; use --pipeline-servers subprocess"
        )
