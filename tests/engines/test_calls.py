"""How a call ended is told in the words of its peer, whatever gRPC put in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Never, cast

import grpc
import pytest

from pipeline.accounting import StageAccount
from pipeline.engines.calls import StageCall, StageConnection
from pipeline.errors import PipelineError

FAILED_WRITE = (grpc.StatusCode.INTERNAL, "Internal error from Core")
OF_THE_PEER = (grpc.StatusCode.INTERNAL, "batch 2: ZeroDivisionError: no luck")


class FakeCall:
    """A call that ends as the test says, and tells of its first end only."""

    def __init__(self) -> None:
        self._status: tuple[grpc.StatusCode, str] | None = None
        self._told: Callable[[object], None] = lambda _: None

    def end(self, status: tuple[grpc.StatusCode, str]) -> None:
        """Take on a status, perhaps in the place of another one."""
        was_done, self._status = self.done(), status
        if not was_done:
            self._told(self)

    def add_done_callback(self, callback: Callable[[object], None]) -> None:
        """Keep whom to tell."""
        self._told = callback

    def done(self) -> bool:
        """Say whether there is a status."""
        return self._status is not None

    async def code(self) -> grpc.StatusCode:
        """Return the status."""
        assert self._status
        return self._status[0]

    async def details(self) -> str:
        """Return what the status says."""
        assert self._status
        return self._status[1]

    async def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
        """Return nothing."""
        return ()


async def failed() -> Never:
    """Fail as an operation of a call that has ended does."""
    raise asyncio.InvalidStateError


@pytest.mark.parametrize(
    "statuses",
    [[OF_THE_PEER], [OF_THE_PEER, FAILED_WRITE], [FAILED_WRITE, OF_THE_PEER]],
    ids=["no write fails", "a write fails after", "a write fails before"],
)
def test_the_status_of_the_peer_is_quoted(
    statuses: list[tuple[grpc.StatusCode, str]],
) -> None:
    """Also where a write has failed, just before that status came or just after."""

    async def message() -> str:
        fake: Any = FakeCall()
        connection = StageConnection(
            "rules",
            "unix:/s",
            cast("grpc.aio.Channel", None),
            StageAccount(),
            lambda: "",
            lambda *_: None,
        )
        call = StageCall(connection, fake)
        first, *later = statuses
        fake.end(first)
        reading = asyncio.ensure_future(call.result_of(failed()))
        for status in later:
            # Until the reading waits for what the call has not told it.
            await asyncio.sleep(0)
            fake.end(status)
        with pytest.raises(PipelineError) as raised:
            await reading
        return str(raised.value)

    assert asyncio.run(message()) == f"stage rules: {OF_THE_PEER[1]}"
