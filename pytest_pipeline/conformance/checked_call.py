"""A stream to the stage under test, in which every wait has a time limit.

A stage that breaks the contract raises Violation. Any other exception is a fault of the
check.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from time import monotonic as now
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from pipeline.v1.pipeline_pb2 import Batch
from pytest_pipeline.conformance.errors import HarnessFaultError, Violation
from pytest_pipeline.servers.handle import Server

# A wait that ends this much later than it should is blamed on the machine.
_LATE_S = 1.0
# A stage that sends this many replies too many is taken never to stop.
_TOO_MANY = 100


@dataclass(frozen=True)
class EndedCall:
    """A call that has ended: all its replies, and its status."""

    replies: list[Batch]
    code: grpc.StatusCode
    details: str

    @property
    def status(self) -> str:
        """The status code and its details, as text for a message."""
        return f"{self.code.name}{': ' * bool(self.details)}{self.details}"


class CheckedCall:
    """A call of `Process` on the stage under test.

    Every batch and reply is recorded in the trace of the server.

    Args:
        server: the server of the stage.
        call: the call, in which requests and replies are bytes.
        timeout_s: seconds that the stage may take to answer.
    """

    def __init__(self, server: Server, call: Any, timeout_s: float) -> None:
        self._server = server
        self._call = call
        self._timeout_s = timeout_s
        self._reading: asyncio.Task[Any] | None = None
        #: Tasks that must end before the event loop does: gRPC trips over an event
        #: that arrives for a closed loop when it delivers events to the next loop.
        self._begun: set[asyncio.Task[Any]] = set()
        self._sent = 0
        self.replies: list[Batch] = []

    async def send(self, batch: Batch | bytes) -> None:
        """Send a batch.

        Do nothing if the stream has ended; `receive` and `rest` report that.

        Raises:
            Violation: the stage did not read the batch in time.
        """
        if not await self.try_send(batch, self._timeout_s):
            raise Violation(
                f"takes in no more, though all its replies are read, for "
                f"{self._timeout_s:g} s"
            )

    async def try_send(self, batch: Batch | bytes, timeout_s: float) -> bool:
        """Send a batch; return whether the stage read it within ``timeout_s``."""
        return await self.within(timeout_s, self._begin(self._write(batch)))

    async def half_close(self) -> None:
        """End the requests, and leave the replies open."""
        await self._quietly(self._call.done_writing())

    def start_to_send(self, batches: Sequence[Batch | bytes]) -> None:
        """Send all batches and half-close in the background, without a time limit."""
        self._begin(self._send_all(batches))

    async def _send_all(self, batches: Sequence[Batch | bytes]) -> None:
        for batch in batches:
            await self._write(batch)
        await self.half_close()

    async def receive(self) -> Batch:
        """Return the next reply; raise Violation if none comes in time."""
        reply = await self._next()
        if reply is None:
            ended = await self._ended()
            raise Violation(
                f"a reply was due, the {_nth(len(self.replies) + 1)}, but the stream "
                f"ended with {ended.status}"
            )
        return reply

    async def rest(self) -> EndedCall:
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

    async def _next(self) -> Batch | None:
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
            reply = Batch.FromString(raw)
        except DecodeError:
            raise Violation(
                f"the {_nth(len(self.replies) + 1)} reply is no Batch"
            ) from None
        self._server.trace.batch("", "from", reply, len(raw))
        self.replies.append(reply)
        if len(self.replies) > self._sent + _TOO_MANY:
            raise Violation(
                f"{self._sent} batches got {len(self.replies)} replies, and more come"
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

    async def _write(self, batch: Batch | bytes) -> None:
        self._sent += 1
        raw = batch if isinstance(batch, bytes) else batch.SerializeToString()
        if isinstance(batch, Batch):
            self._server.trace.batch("", "to", batch, len(raw))
        await self._quietly(self._call.write(raw))

    @staticmethod
    async def _quietly(operation: Coroutine[Any, Any, Any]) -> None:
        """Await an operation, and ignore that the call has ended."""
        with contextlib.suppress(
            grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError
        ):
            await operation

    async def _ended(self) -> EndedCall:
        code, details = await self._call.code(), await self._call.details()
        return EndedCall(self.replies, code, details or "")

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
