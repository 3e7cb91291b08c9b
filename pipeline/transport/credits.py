"""Credit for the batches of ingest: `Credits.Grant` of the contract."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
from google.protobuf.empty_pb2 import Empty

from pipeline.batching import BatchLimits, LiveLimits
from pipeline.errors import UsageError
from pipeline.v1.pipeline_pb2 import Credit


class RunCredit:
    """The credit of one run: how many batches it may send, and of what size."""

    def __init__(self) -> None:
        #: The limits of the next batch.
        self.limits = LiveLimits(1, 1)
        self._allowed = threading.Condition()
        self._batches = 0
        self._newest: Credit | None = None
        self._is_over = False

    def grant(self, credit: Credit) -> None:
        """Replace the credit.

        Raises:
            UsageError: A limit of it is below 1.
        """
        BatchLimits(credit.batch_records, credit.batch_bytes)
        with self._allowed:
            self._newest = credit
            self._allowed.notify()

    def end(self) -> None:
        """Let the run go on without credit."""
        with self._allowed:
            self._is_over = True
            self._allowed.notify()

    def take(self) -> None:
        """Wait for credit for the next batch, and change the limits to what it says."""
        with self._allowed:
            while not self._is_over and (
                self._newest is None or self._newest.batches <= self._batches
            ):
                self._allowed.wait()
            self._batches += 1
            if self._newest is not None:
                self.limits.change(self._newest.batch_records, self._newest.batch_bytes)


@dataclass
class _Entry:
    credit: RunCredit = field(default_factory=RunCredit)
    users: int = 0


class Credits:
    """The credit of each run that a server of ingest is reading for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}

    @contextmanager
    def of(self, run: str) -> Iterator[RunCredit]:
        """Return the credit of a run, whichever of its two calls comes first."""
        with self._lock:
            entry = self._entries.setdefault(run, _Entry())
            entry.users += 1
        try:
            yield entry.credit
        finally:
            with self._lock:
                entry.users -= 1
                if not entry.users:
                    del self._entries[run]

    def Grant(  # noqa: N802 - named by the contract
        self, credits_: Iterator[Credit], context: grpc.ServicerContext
    ) -> Empty:
        """Give credit to a run until the stream ends."""
        first = next(credits_, None)
        if first is None or not first.run:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "takes a run first")
        with self.of(first.run) as credit:
            try:
                credit.grant(first)
                for newer in credits_:
                    credit.grant(newer)
            except UsageError as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            finally:
                credit.end()
        return Empty()
