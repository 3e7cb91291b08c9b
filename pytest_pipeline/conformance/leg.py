"""One stream to the stage under test, and what it may do there.

Whatever a stage does wrong raises Violation; any other exception is a fault of ours.
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

from pipeline.errors import PipelineError
from pipeline.v1.pipeline_pb2 import Batch
from pytest_pipeline.servers.handle import Server

# How much later than asked for a wait may end before the machine is to blame.
_LATE_S = 1.0
# So many replies too many, and a stage is taken never to end.
_TOO_MANY = 100


class Violation(PipelineError):  # noqa: N818 - a verdict on a stage, no error of ours
    """A stage does what the contract forbids, or does not what it asks for."""


class HarnessFaultError(PipelineError):
    """The checking itself has gone wrong; nothing is said about the stage."""


@dataclass(frozen=True)
class Ending:
    """What came until the end of a stream, and how it ended."""

    replies: list[Batch]
    code: grpc.StatusCode
    details: str

    @property
    def how(self) -> str:
        """The status, in words."""
        return f"{self.code.name}{': ' * bool(self.details)}{self.details}"


class Leg:
    """One stream to the stage, which may take ``timeout_s`` to answer.

    What crosses it is in the trace of the server.
    """

    def __init__(self, server: Server, call: Any, timeout_s: float) -> None:
        self._server = server
        self._call = call
        self._timeout_s = timeout_s
        self._reading: asyncio.Task[Any] | None = None
        #: All that was begun, which must end before the event loop does: what comes
        #: for a loop that is closed makes gRPC stumble over what comes for the next.
        self._begun: set[asyncio.Task[Any]] = set()
        self._sent = 0
        self.replies: list[Batch] = []

    async def send(self, batch: Batch | bytes) -> None:
        """Send a batch; raise Violation where the stage does not take it in time.

        Into a stream that has ended it goes unheard: `receive` and `rest` tell of that.
        """
        if not await self.try_send(batch, self._timeout_s):
            raise Violation(
                f"takes in no more, though all its replies are read, for "
                f"{self._timeout_s:g} s"
            )

    async def try_send(self, batch: Batch | bytes, timeout_s: float) -> bool:
        """Send a batch; return whether the stage has taken it in that time."""
        return await self.within(timeout_s, self._begin(self._write(batch)))

    async def half_close(self) -> None:
        """Say that no batch follows."""
        await self._quietly(self._call.done_writing())

    def start_to_send(self, batches: Sequence[Batch | bytes]) -> None:
        """Begin to send all batches and to half-close, however long that takes."""
        self._begin(self._send_all(batches))

    async def _send_all(self, batches: Sequence[Batch | bytes]) -> None:
        for batch in batches:
            await self._write(batch)
        await self.half_close()

    async def receive(self) -> Batch:
        """Return the next reply; raise Violation where none comes in time."""
        reply = await self._next()
        if reply is None:
            ending = await self._ending()
            raise Violation(
                f"a reply was due, the {_nth(len(self.replies) + 1)}, but the stream "
                f"ended with {ending.how}"
            )
        return reply

    async def rest(self) -> Ending:
        """Return all replies and the status; raise Violation if it does not end."""
        while await self._next() is not None:
            pass
        return await self._ending()

    async def nothing_comes(self, seconds: float) -> bool:
        """Return whether neither a reply nor the end comes for so long."""
        task = self._read()
        return not (await asyncio.wait({task}, timeout=seconds))[0]

    async def give_up(self) -> None:
        """Cancel the stream, if it has not ended, and see it end."""
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
        """Await an operation of a call that may have ended."""
        with contextlib.suppress(
            grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError
        ):
            await operation

    async def _ending(self) -> Ending:
        # There at once, or as soon as gRPC has worked off what came before.
        code, details = await self._call.code(), await self._call.details()
        return Ending(self.replies, code, details or "")

    @staticmethod
    async def within(seconds: float, what: Any) -> bool:
        """Wait so long for something; leave it going on where that does not do.

        Raises HarnessFaultError where it was the machine that stood still.
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
