"""Read what a server process prints: its handshake, and the rest into its log."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from pipeline.errors import StageError

_BLOCK_BYTES = 64 * 1024
# A longer line is no handshake; what has come of it goes to the log.
_MAX_HANDSHAKE_BYTES = 64 * 1024


class ProcessOutput:
    """The standard output of a server process, which this object reads to its end.

    Lines before the handshake and everything after it are appended to the log. So the
    pipe never fills, however much the program prints.

    Args:
        stage: Name of the stage, for errors.
        pipe: The reading end of the pipe; `close` closes it.
        log: File that everything but the handshake is appended to.
    """

    def __init__(self, stage: str, pipe: IO[bytes], log: Path) -> None:
        self._stage = stage
        self._pipe = pipe
        self._log = log
        self._pending = b""
        #: What was printed before the handshake: the first line of it.
        self.first_line = b""
        # Closing one end makes the other readable, which ends the thread.
        self._stop_read, self._stop_write = os.pipe()
        #: Reads what follows the handshake; None before `follow`.
        self.thread: threading.Thread | None = None

    def handshake(self, deadline: float) -> Mapping[str, Any]:
        """Wait for the handshake, and return it; empty if the output ended before.

        Args:
            deadline: Until when to wait, by `time.monotonic`.

        Raises:
            StageError: There is none in time.
        """
        with selectors.DefaultSelector() as selector:
            selector.register(self._pipe, selectors.EVENT_READ)
            while True:
                while self._pending:
                    line, end, rest = self._pending.partition(b"\n")
                    if not end and len(line) < _MAX_HANDSHAKE_BYTES:
                        break
                    self._pending = rest
                    if said := _handshake_in(line):
                        return said
                    self._skip(line + end)
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise StageError(
                        f"stage {self._stage} did not start in time: it has not said "
                        f"where it listens{self._printed_instead()}"
                    )
                data = os.read(self._pipe.fileno(), _BLOCK_BYTES)
                if not data:
                    return self._at_the_end()
                self._pending += data

    def follow(self) -> None:
        """Append the rest of the output to the log, in a thread."""
        self.thread = threading.Thread(
            target=self._follow, name=f"output of {self._stage}", daemon=True
        )
        self.thread.start()

    def close(self) -> None:
        """Take what has been printed until now, and stop reading."""
        os.close(self._stop_write)
        if self.thread is not None:
            self.thread.join()
        os.close(self._stop_read)
        self._pipe.close()

    def _at_the_end(self) -> Mapping[str, Any]:
        said = _handshake_in(self._pending)
        if not said:
            self._skip(self._pending)
        self._pending = b""
        return said

    def _skip(self, line: bytes) -> None:
        self.first_line = self.first_line or line
        with self._log.open("ab") as log:
            log.write(line)

    def _printed_instead(self) -> str:
        line = self.first_line or self._pending
        return f", but printed {line[:100]!r}" if line else ""

    def _follow(self) -> None:
        with self._log.open("ab", buffering=0) as log:
            _append(self._pending, log)
            self._pending = b""
            with selectors.DefaultSelector() as selector:
                selector.register(self._pipe, selectors.EVENT_READ)
                selector.register(self._stop_read, selectors.EVENT_READ)
                while True:
                    ready = {key.fd for key, _ in selector.select()}
                    if self._pipe.fileno() not in ready:
                        return
                    data = os.read(self._pipe.fileno(), _BLOCK_BYTES)
                    if not data:
                        return
                    _append(data, log)


def _append(data: bytes, log: IO[bytes]) -> None:
    # A full disk must not stop the reading: the program would block in its next print.
    with contextlib.suppress(OSError):
        log.write(data)


def _handshake_in(line: bytes) -> Mapping[str, Any]:
    """Return the handshake that ``line`` is; empty if it is none."""
    try:
        said = json.loads(line)
        address = said["address"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return said if isinstance(address, str) and address else {}
