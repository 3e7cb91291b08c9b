"""A call to the stage under test, in which every wait has a time limit.

A stage that breaks the contract raises Violation. Any other exception is a fault of the
check.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from time import monotonic as now
from typing import Any, Generic, Literal, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from pipeline.transport.workarounds import StatusWatch
from pipeline.v1.pipeline_pb2 import Batch, WriteRequest
from pytest_pipeline.conformance.errors import HarnessFaultError, Violation
from pytest_pipeline.servers.handle import Server

Reply = TypeVar("Reply", bound=Message)

# A wait that ends this much later than it should is blamed on the machine.
_LATE_S = 1.0


@dataclass(frozen=True)
class EndedCall(Generic[Reply]):
    """A call that has ended: all its replies, and its status."""

    replies: list[Reply]
    code: grpc.StatusCode
    details: str

    @property
    def status(self) -> str:
        """The status code and its details, as text for a message."""
        return f"{self.code.name}{': ' * bool(self.details)}{self.details}"


class CheckedCall(Generic[Reply]):
    """A call of the stage under test.

    Whatever the RPC is, it is called as a stream of requests and a stream of replies:
    the bytes are the same, and a stage that sends too little or too much is noticed.
    Every message is recorded in the trace of the server.

    Args:
        server: the server of the stage.
        call: the call, in which requests and replies are bytes.
        reply_type: the message type of the replies.
        timeout_s: seconds that the stage may take to answer.
        most_replies: replies beyond one for each request after which the stage is taken
            never to stop.
    """

    def __init__(
        self,
        server: Server,
        call: Any,
        reply_type: type[Reply],
        timeout_s: float,
        most_replies: int,
    ) -> None:
        self._server = server
        self._call = call
        self._reply_type = reply_type
        self._timeout_s = timeout_s
        self._most_replies = most_replies
        #: A write that fails because the stage has refused the call hides why.
        self._status = StatusWatch(call)
        self._reading: asyncio.Task[Any] | None = None
        #: Tasks that must end before the event loop does: gRPC trips over an event
        #: that arrives for a closed loop when it delivers events to the next loop.
        self._begun: set[asyncio.Task[Any]] = set()
        self._sent = 0
        self.replies: list[Reply] = []

    async def send(self, request: Message | bytes) -> None:
        """Send a request.

        Do nothing if the stream has ended; `receive` and `rest` report that.

        Raises:
            Violation: the stage did not read the request in time.
        """
        if not await self.try_send(request, self._timeout_s):
            raise Violation(
                f"takes in no more, though all its replies are read, for "
                f"{self._timeout_s:g} s"
            )

    async def try_send(self, request: Message | bytes, timeout_s: float) -> bool:
        """Send a request; return whether the stage read it within ``timeout_s``."""
        return await self.within(timeout_s, self._begin(self._write(request)))

    async def half_close(self) -> None:
        """End the requests, and leave the replies open."""
        # If the stage has just ended the call, grpc.aio raises an error that has no
        # public name, ExecuteBatchError. `receive` and `rest` report the end.
        with contextlib.suppress(Exception):
            await self._call.done_writing()

    def start_to_send(self, requests: Sequence[Message | bytes]) -> None:
        """Send all requests and half-close in the background, without a time limit."""
        self._begin(self._send_all(requests))

    async def _send_all(self, requests: Sequence[Message | bytes]) -> None:
        for request in requests:
            await self._write(request)
        await self.half_close()

    async def receive(self) -> Reply:
        """Return the next reply; raise Violation if none comes in time."""
        reply = await self._next()
        if reply is None:
            ended = await self._ended()
            raise Violation(
                f"a reply was due, the {_nth(len(self.replies) + 1)}, but the stream "
                f"ended with {ended.status}"
            )
        return reply

    async def rest(self) -> EndedCall[Reply]:
        """Read to the end of the stream; raise Violation if it does not end in time."""
        while await self._next() is not None:
            pass
        return await self._ended()

    async def nothing_comes(self, seconds: float) -> bool:
        """Return whether neither a reply nor the end comes for ``seconds``."""
        task = self._read()
        return not (await asyncio.wait({task}, timeout=seconds))[0]

    async def give_up(self) -> None:
        """Cancel the call if it is still open, and wait for its end."""
        self._call.cancel()
        await self._call.code()
        await asyncio.gather(*self._begun)

    async def _next(self) -> Reply | None:
        task = self._read()
        if not await self.within(self._timeout_s, task):
            raise Violation(
                f"neither a reply nor the end of the stream has come for "
                f"{self._timeout_s:g} s after {len(self.replies)} replies"
                f"{self._server.ending and f': {self._server.ending}'}"
            )
        self._reading = None
        raw = task.result()
        if raw is grpc.aio.EOF:
            return None
        try:
            reply = self._reply_type.FromString(raw)
        except DecodeError:
            raise Violation(
                f"the {_nth(len(self.replies) + 1)} reply is no "
                f"{self._reply_type.DESCRIPTOR.name}"
            ) from None
        self._trace("from", reply, len(raw))
        self.replies.append(reply)
        if len(self.replies) > self._sent + self._most_replies:
            raise Violation(
                f"{self._sent} requests got {len(self.replies)} replies, and more come"
            )
        return reply

    def _read(self) -> asyncio.Task[Any]:
        if self._reading is None:
            self._reading = self._begin(self._read_one())
        return self._reading

    def _begin(self, what: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(what)
        self._begun.add(task)
        task.add_done_callback(self._begun.discard)
        return task

    async def _read_one(self) -> Any:
        try:
            return await self._call.read()
        except (grpc.aio.AioRpcError, asyncio.CancelledError):
            return grpc.aio.EOF

    async def _write(self, request: Message | bytes) -> None:
        self._sent += 1
        raw = request if isinstance(request, bytes) else request.SerializeToString()
        if isinstance(request, Message):
            self._trace("to", request, len(raw))
        await self._quietly(self._call.write(raw))

    def _trace(
        self, direction: Literal["to", "from"], message: Message, size: int
    ) -> None:
        if isinstance(message, WriteRequest) and message.HasField("batch"):
            message = message.batch
        if isinstance(message, Batch):
            self._server.trace.batch("", direction, message, size)
        else:
            step = (
                message.WhichOneof("step") if isinstance(message, WriteRequest) else ""
            )
            what = step or message.DESCRIPTOR.name
            self._server.trace.note(direction, f"{what}, {size:,} bytes")

    @staticmethod
    async def _quietly(operation: Coroutine[Any, Any, Any]) -> None:
        """Await an operation, and ignore that the call has ended."""
        with contextlib.suppress(
            grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError
        ):
            await operation

    async def _ended(self) -> EndedCall[Reply]:
        status = asyncio.create_task(self._status.wait())
        if not await self.within(self._timeout_s, status):
            status.cancel()
            raise Violation(
                f"ended its stream, and sent no status for {self._timeout_s:g} s"
            )
        ended = status.result()
        return EndedCall(self.replies, ended.code, ended.details)

    @staticmethod
    async def within(seconds: float, what: Any) -> bool:
        """Wait for ``what``; return whether it was done within ``seconds``.

        A task that is not done in time is left running.

        Raises:
            HarnessFaultError: the wait took far longer than ``seconds``, so the machine
                may be to blame and not the stage.
        """
        started = now()
        task = asyncio.ensure_future(what)
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if done:
            return True
        late = now() - started - seconds
        if late > _LATE_S:
            raise HarnessFaultError(
                f"this machine stood still: a wait of {seconds:g} s took {late:.1f} s "
                f"longer"
            )
        return False


def _nth(number: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    teen = number % 100 in (11, 12, 13)
    return f"{number}{'th' if teen else endings.get(number % 10, 'th')}"
