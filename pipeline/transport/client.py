"""What the engines need of a transport: channels to servers, and calls on them.

A call carries messages as bytes, in both directions. The contract's methods with one
request or one response are such calls, too: on the wire they do not differ. Statuses
are those of gRPC, whatever library carries them; `grpcio` is the one that is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from grpc import StatusCode

__all__ = ["Call", "CallEnded", "CallStatus", "Channel", "StatusCode"]


class CallEnded(Exception):  # noqa: N818 - whether it is an error, the status says
    """Raised by an operation of a call that has ended; its status says why."""


@dataclass(frozen=True, slots=True)
class CallStatus:
    """How a call ended."""

    code: StatusCode
    details: str
    #: Keys that end in ``-bin`` have bytes, others have text.
    trailing_metadata: Sequence[tuple[str, str | bytes]]


class Call(Protocol):
    """A call to a method of a server.

    One task may send while another receives. A task that is cancelled in an operation
    cancels the call.
    """

    async def send(self, message: bytes) -> None:
        """Send a message, as soon as flow control lets it through.

        Raises:
            CallEnded: The call has ended.
        """

    async def half_close(self) -> None:
        """Send nothing more; the server goes on.

        Raises:
            CallEnded: The call has ended.
        """

    async def receive(self) -> bytes | None:
        """Return the next message; None where the server has ended the call with OK.

        Raises:
            CallEnded: The call has ended otherwise.
        """

    async def status(self) -> CallStatus:
        """Return the status that the server has sent, once it is there."""

    def cancel(self) -> None:
        """End the call; do nothing if it has ended."""

    def cancelled(self) -> bool:
        """Return whether the call was ended from this side."""


class Channel(Protocol):
    """A connection to a server, made when the first call needs it."""

    def call(self, method: str, /) -> Call:
        """Begin a call to ``method``, such as ``/pipeline.v1.Stage/Process``."""

    async def close(self) -> None:
        """Close the connection, and cancel its calls."""
