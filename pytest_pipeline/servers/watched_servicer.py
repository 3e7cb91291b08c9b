"""A servicer of `Stage.Process` for one call, whose progress can be waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, Self

import grpc

from pipeline.v1.pipeline_pb2 import Batch

Metadata = tuple[tuple[str, str | bytes], ...]


class Servicer(Protocol):
    """Anything that serves `Stage.Process` of the contract."""

    def Process(  # noqa: N802 - named by the contract
        self, requests: Iterator[Batch], context: Any, /
    ) -> Iterable[Batch]:
        """Answer each batch with one batch of the same number."""


class WatchedServicer:
    """Serves one call and counts the batches that came in and went out."""

    def __init__(self, servicer: Servicer) -> None:
        self._servicer = servicer
        self._moved = threading.Condition()
        self._context: _Context | None = None
        self._thread: threading.Thread | None = None
        #: The thread that waits for a request or is about to wait for one.
        self._asking: threading.Thread | None = None
        self._sent = 0
        self._taken = 0
        self._replies_made = 0
        self._replies_taken = 0

    def Process(  # noqa: N802 - named by the contract
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Pass requests to the servicer and its replies back, and count them."""
        watched = _Context(context)
        with self._moved:
            self._thread = threading.current_thread()
            self._context = watched
        context.add_callback(self._wake)
        try:
            for reply in self._servicer.Process(
                _WatchedRequests(requests, self), watched
            ):
                yield reply
                with self._moved:
                    # A reply to a call that has ended is dropped.
                    if context.is_active():
                        self._replies_made += 1
                        self._moved.notify_all()
        except Exception:
            # An abort has given the client its status; the exception adds nothing.
            if watched.metadata_of_abort is None:
                raise

    @property
    def metadata_of_abort(self) -> Metadata | None:
        """The trailing metadata of a call that the servicer aborted."""
        return self._context.metadata_of_abort if self._context else None

    @property
    def unanswered(self) -> int:
        """Number of batches for which no reply was taken."""
        return self._sent - self._replies_taken

    def wait_for(self, happened: Callable[[], bool], patience_s: float) -> bool:
        """Wait until ``happened()``, up to ``patience_s``; return whether it did."""
        with self._moved:
            return self._moved.wait_for(happened, patience_s)

    def has_ended(self) -> bool:
        """Return whether the call is over; its thread may still run."""
        return self._context is not None and not self._context.is_active()

    def has_replied_or_will_not(self) -> bool:
        """Return whether there is a reply, or none can come before more is sent."""
        return (
            self._replies_made > self._replies_taken
            or self.has_ended()
            or self.unanswered <= 0
            # Only the thread of the call makes replies, and it waits for a request.
            or (self._asking is self._thread and self._taken == self._sent)
        )

    def is_settled(self) -> bool:
        """Return whether the servicer waits for a batch, works on one, or has ended."""
        return (
            self.unanswered > 0
            or self._replies_made > self._replies_taken
            or (self._asking is not None and self._taken == self._sent)
            or self.has_ended()
        )

    def count_sent(self) -> None:
        """Count a request that is about to be sent."""
        with self._moved:
            self._sent += 1

    def take_reply(self) -> bool:
        """Claim a reply that is ready; return whether there is one."""
        with self._moved:
            ready = self._replies_made > self._replies_taken
            self._replies_taken += ready
            return ready

    def start_asking(self) -> None:
        """Record that the calling thread waits for the next request."""
        with self._moved:
            self._asking = threading.current_thread()
            self._moved.notify_all()

    def count_taken(self) -> None:
        """Count a request that a thread waited for and got."""
        with self._moved:
            self._asking = None
            self._taken += 1

    def join(self, patience_s: float) -> bool:
        """Wait up to ``patience_s`` for the thread to end; return whether it did."""
        if self._thread is None:
            return True
        self._thread.join(patience_s)
        return not self._thread.is_alive()

    def _wake(self) -> None:
        with self._moved:
            self._moved.notify_all()


class _WatchedRequests:
    """The requests of a call, for one thread at a time."""

    def __init__(self, requests: Iterator[Batch], watched: WatchedServicer) -> None:
        self._requests = requests
        self._watched = watched

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Batch:
        self._watched.start_asking()
        # If this raises, the call has ended or is closed, and no reply is awaited.
        request = next(self._requests)
        self._watched.count_taken()
        return request


class _Context:
    """The context of a call; it keeps the trailing metadata of an abort.

    gRPC sends that to the client, but grpc_testing drops it.
    """

    def __init__(self, context: grpc.ServicerContext) -> None:
        self._context = context
        self._trailing: Metadata = ()
        self.metadata_of_abort: Metadata | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def set_trailing_metadata(self, metadata: Metadata) -> None:
        """Set the metadata that the client gets with the status."""
        self._trailing = tuple(metadata)
        self._context.set_trailing_metadata(metadata)

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        """Raise, and end the call with this status unless it is over."""
        self.metadata_of_abort = self._trailing if self._context.is_active() else ()
        self._context.abort(code, details)
