"""Checks of ingest on a named pipe: when it sends, how much it reads, when it stops."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc

from pytest_pipeline.conformance.check import check, reads_lines
from pytest_pipeline.conformance.errors import Violation
from pytest_pipeline.conformance.ingest_under_test import IngestUnderTest, records_in
from pytest_pipeline.conformance.stage_under_test import NARROW

_LINE = b'{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":10}\n'
_LINGER_NS = 50_000_000
# Long enough for a batch to arrive that should not.
_QUIET_S = 0.3
# An ingest that has read nothing for this long has stopped reading.
_STALL_S = 1.0
_POLL_S = 0.01
_TAKEN_BYTES = 16 * 1024 * 1024
_BLOCK = _LINE * 900


class _Pipe:
    """The end of a named pipe that is written to.

    Args:
        path: where the pipe is.
        timeout_s: seconds that the ingest may take to open it and to read.
    """

    def __init__(self, path: Path, timeout_s: float) -> None:
        self.path = path
        self._timeout_s = timeout_s
        self._descriptor = -1

    async def open(self) -> None:
        """Open the pipe once the ingest has; raise Violation if it does not."""
        deadline = time.monotonic() + self._timeout_s
        while self._descriptor < 0:
            # Opening a pipe that nobody reads fails.
            with contextlib.suppress(OSError):
                self._descriptor = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
            if self._descriptor < 0:
                if time.monotonic() > deadline:
                    raise Violation(
                        f"did not open a named pipe within {self._timeout_s:g} s"
                    )
                await asyncio.sleep(_POLL_S)

    async def write(self, data: bytes, timeout_s: float = 0.0) -> int:
        """Write until all is taken or nothing is for a while; return the bytes taken.

        Raises:
            BrokenPipeError: the ingest has closed the pipe.
        """
        timeout_s = timeout_s or self._timeout_s
        taken, deadline = 0, time.monotonic() + timeout_s
        while taken < len(data):
            try:
                taken += os.write(self._descriptor, data[taken:])
                deadline = time.monotonic() + timeout_s
            except BlockingIOError:
                if time.monotonic() > deadline:
                    break
                await asyncio.sleep(_POLL_S)
        return taken

    def close(self) -> None:
        """Close this end; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@check("source.linger", reads_lines)
async def linger(stage: IngestUnderTest) -> None:
    """Records that come slowly must not wait for a batch to fill, so a batch that is
    not full is sent once its first record has waited for the linger.
    """
    with _pipe(stage) as pipe:
        request = stage.request(stage.describe(pipe.path), linger_ns=_LINGER_NS)
        async with stage.reading(request) as call:
            await pipe.open()
            for lines in (3, 2):
                await pipe.write(_LINE * lines)
                try:
                    batch = await call.receive()
                except Violation as violation:
                    raise Violation(
                        f"{lines} lines wait in a pipe: {violation}"
                    ) from None
                if records_in(batch) != lines:
                    raise Violation(
                        f"{lines} lines were written to a pipe at once, and the next "
                        f"batch has {records_in(batch)}"
                    )
            pipe.close()
            ended = await call.rest()
    if ended.code is not grpc.StatusCode.OK or len(ended.replies) != 2:
        raise Violation(
            f"5 lines came in {len(ended.replies)} batches instead of 2, and the "
            f"stream ended with {ended.status}"
        )


@check("source.no-linger", reads_lines)
async def no_linger(stage: IngestUnderTest) -> None:
    """Without a linger the batches of a run must not depend on time, so a batch waits
    until it is full or the pipe is closed.
    """
    with _pipe(stage) as pipe:
        request = stage.request(stage.describe(pipe.path), batch_records=4)
        async with stage.reading(request) as call:
            await pipe.open()
            await pipe.write(_LINE * 3)
            if not await call.nothing_comes(_QUIET_S):
                raise Violation("sent a batch that was not full, without a linger")
            await pipe.write(_LINE * 3)
            await call.receive()
            pipe.close()
            ended = await call.rest()
    found = [records_in(batch) for batch in ended.replies]
    if ended.code is not grpc.StatusCode.OK or found != [4, 2]:
        raise Violation(
            f"6 lines of a pipe, 4 a batch, came in batches of {found}, and the stream "
            f"ended with {ended.status}"
        )


@check("source.slow-reader", reads_lines)
async def slow_reader(stage: IngestUnderTest) -> None:
    """An ingest must stop reading while its batches are not read, or its memory grows
    with the source, and must go on once they are.
    """
    with _pipe(stage) as pipe:
        request = stage.request(stage.describe(pipe.path))
        async with stage.reading(request, NARROW) as call:
            await pipe.open()
            taken = 0
            while taken <= _TAKEN_BYTES:
                more = await pipe.write(_BLOCK, _STALL_S)
                taken += more
                if more < len(_BLOCK):
                    break
            if taken > _TAKEN_BYTES:
                raise Violation(
                    f"took in {taken / 2**20:.0f} MiB while nobody read its batches"
                )
            pipe.close()
            ended = await call.rest()
    found = sum(map(records_in, ended.replies))
    # The last line may have been cut.
    wanted = -(-taken // len(_LINE))
    if ended.code is not grpc.StatusCode.OK or found != wanted:
        raise Violation(
            f"once its batches were read, {found:,} of {wanted:,} records came, and "
            f"the stream ended with {ended.status}"
        )


@check("source.cancel-closes", reads_lines)
async def cancel_closes(stage: IngestUnderTest) -> None:
    """A pipe may never end, so a call that is cancelled must end the work on it and
    close it.
    """
    with _pipe(stage) as pipe:
        request = stage.request(stage.describe(pipe.path), linger_ns=_LINGER_NS)
        async with stage.reading(request) as call:
            await pipe.open()
            await pipe.write(_LINE)
            await call.receive()
        deadline = time.monotonic() + stage.timeout_s
        with contextlib.suppress(BrokenPipeError):
            while time.monotonic() < deadline:
                await pipe.write(_LINE, _POLL_S)
                await asyncio.sleep(_POLL_S)
            raise Violation(
                f"still reads its pipe {stage.timeout_s:g} s after the call was "
                f"cancelled"
            )


@contextmanager
def _pipe(stage: IngestUnderTest) -> Iterator[_Pipe]:
    with stage.scratch() as folder:
        path = folder / "pipe"
        os.mkfifo(path)
        pipe = _Pipe(path, stage.timeout_s)
        try:
            yield pipe
        finally:
            pipe.close()


CHECKS = (linger, no_linger, slow_reader, cancel_closes)
