"""What a failed call to a stage is reported as."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import grpc
import pytest

from pipeline.accounting import StageAccount
from pipeline.engines.calls import StageCall, StageConnection
from pipeline.errors import PipelineError, SinkError, SourceError, StageError
from pipeline.transport.client import Channel
from pipeline.transport.grpcio import GrpcCall

Ending = tuple[grpc.StatusCode, str]

FAILED_WRITE: Ending = (grpc.StatusCode.INTERNAL, "Internal error from Core")
OF_THE_STAGE: Ending = (
    grpc.StatusCode.INTERNAL,
    "batch 2: ZeroDivisionError: no luck",
)


class FakeGrpcCall:
    """A call of grpc.aio that ends as the test says, and calls back once."""

    def __init__(self) -> None:
        self._status: Ending | None = None
        self._callback: Callable[[object], None] = lambda _: None

    def end(self, status: Ending) -> None:
        """Set a status, perhaps in the place of an earlier one."""
        was_done, self._status = self.done(), status
        if not was_done:
            self._callback(self)

    def add_done_callback(self, callback: Callable[[object], None]) -> None:
        """Keep the callback."""
        self._callback = callback

    def done(self) -> bool:
        """Return whether there is a status."""
        return self._status is not None

    async def code(self) -> grpc.StatusCode:
        """Return the code of the status."""
        assert self._status
        return self._status[0]

    async def details(self) -> str:
        """Return the details of the status."""
        assert self._status
        return self._status[1]

    async def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
        """Return no metadata."""
        return ()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Fail as a read of a call that has ended does."""
        raise asyncio.InvalidStateError
        yield


def error_of(
    *statuses: Ending,
    stage: str = "rules",
    precondition_error: type[PipelineError] | None = None,
) -> PipelineError:
    """Return the error of a call that gets these statuses one after the other."""

    async def read() -> PipelineError:
        fake: Any = FakeGrpcCall()
        connection = StageConnection(
            stage,
            "unix:/s",
            cast("Channel", None),
            StageAccount(),
            lambda: "",
            lambda: None,
            lambda *_: None,
        )
        grpc_call = GrpcCall(fake)
        call = StageCall(connection, grpc_call, precondition_error)
        first, *later = statuses
        fake.end(first)
        reading = asyncio.ensure_future(call.result_of(grpc_call.receive()))
        for status in later:
            # Until the read waits for a status that no callback brings.
            await asyncio.sleep(0)
            fake.end(status)
        with pytest.raises(PipelineError) as raised:
            await reading
        return raised.value

    return asyncio.run(read())


@pytest.mark.parametrize(
    "statuses",
    [[OF_THE_STAGE], [OF_THE_STAGE, FAILED_WRITE], [FAILED_WRITE, OF_THE_STAGE]],
    ids=["no write fails", "a write fails after", "a write fails before"],
)
def test_the_status_of_the_stage_is_quoted(statuses: list[Ending]) -> None:
    """A write that fails just before that status arrives, or after, changes nothing."""
    assert str(error_of(*statuses)) == f"stage rules: {OF_THE_STAGE[1]}"


@pytest.mark.parametrize(
    ("precondition_error", "expected"),
    [(SourceError, SourceError), (SinkError, SinkError), (None, StageError)],
)
@pytest.mark.parametrize("stage", ["ingest", "rules", "sink", "archive"])
def test_a_failed_precondition_means_what_the_service_says_whatever_its_name(
    precondition_error: type[PipelineError] | None,
    expected: type[PipelineError],
    stage: str,
) -> None:
    """Only a source and a sink have an error for it; of others it is a failure."""
    error = error_of(
        (grpc.StatusCode.FAILED_PRECONDITION, "not there"),
        stage=stage,
        precondition_error=precondition_error,
    )

    assert type(error) is expected
    assert str(error) == (
        "not there" if precondition_error else f"stage {stage}: not there"
    )
