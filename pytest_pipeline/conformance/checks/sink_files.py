"""Checks of the files of the sink: where it may write, and how it replaces a result."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc

from pytest_pipeline.conformance.check import check, is_told_a_folder
from pytest_pipeline.conformance.errors import Violation
from pytest_pipeline.conformance.places import escapes, ways_to
from pytest_pipeline.conformance.sink_under_test import (
    SinkUnderTest,
    content_at,
    summary_of,
    target,
)

_EARLIER = b"an earlier result\n" * 1000
_PARTITION = (4, 4, 4)
# Long enough for a sink to write what it was sent.
_SETTLE_S = 0.1


@check("sink.atomic", is_told_a_folder)
async def atomic(stage: SinkUnderTest) -> None:
    """Others read the result while it is replaced, and each must see the earlier one or
    the new one, and never a part.
    """
    run = stage.run(_PARTITION)
    with stage.result_path() as path:
        path.write_bytes(_EARLIER)
        with path.open("rb") as opened_before, _polled(path) as seen:
            async with stage.call() as call:
                for step in (target(path), *run.writes):
                    await call.send(step)
                await asyncio.sleep(_SETTLE_S)
                if content_at(path) != _EARLIER:
                    raise Violation("the result changed before the commit")
                await call.send(run.commit())
                await call.half_close()
                summary_of(await call.rest())
            # Whoever has the earlier file open still reads it.
            if opened_before.read() != _EARLIER:
                raise Violation("wrote into the earlier result instead of replacing it")
        if seen - {_EARLIER, run.result}:
            raise Violation("a reader saw neither the earlier result nor the new one")


@check("sink.confinement", is_told_a_folder)
async def confinement(stage: SinkUnderTest) -> None:
    """Whoever reaches the port names the path, so a sink must write no file outside the
    folders that it was told.
    """
    with stage.scratch() as folder, stage.outside() as outside:
        victim = outside / "victim"
        for path, what in escapes(stage.served, folder, victim):
            for earlier in (None, _EARLIER):
                victim.unlink(missing_ok=True)
                if earlier is not None:
                    victim.write_bytes(earlier)
                await _check_refused(stage, path, what)
                if content_at(victim) != earlier or len(list(outside.iterdir())) > 1:
                    raise Violation(f"{what} was refused, and yet written")


@check("sink.paths", is_told_a_folder)
async def paths(stage: SinkUnderTest) -> None:
    """A path may be relative to the folder, or lead through links and "..", and is
    served as long as it ends in the folder.
    """
    run = stage.run(_PARTITION)
    with stage.result_path() as result:
        for path, what in ways_to(stage.served, result):
            result.write_bytes(_EARLIER)
            try:
                await stage.write_well(run.steps(path))
            except Violation as violation:
                raise Violation(f"{what}: {violation}") from None
            if content_at(result) != run.result:
                raise Violation(f"{what}: the result is not there")


@check("sink.unwritable", is_told_a_folder)
async def unwritable(stage: SinkUnderTest) -> None:
    """A user has mistyped the path, and FAILED_PRECONDITION tells that from a failure
    of the server.
    """
    with stage.scratch() as folder:
        (folder / "folder").mkdir()
        (folder / "file").write_bytes(_EARLIER)
        for path, what in (
            (folder / "nothing" / "result", "a target in a folder that does not exist"),
            (folder / "file" / "result", "a target in a file"),
            (folder / "folder", "a target that is a folder"),
        ):
            await _check_refused(stage, path, what)


async def _check_refused(stage: SinkUnderTest, path: Path | str, what: str) -> None:
    ended = await stage.write(stage.run(_PARTITION).steps(path))
    if ended.code is not grpc.StatusCode.FAILED_PRECONDITION:
        raise Violation(
            f"{what} must be refused with FAILED_PRECONDITION; the stream ended with "
            f"{ended.status}"
        )


@contextmanager
def _polled(path: Path) -> Iterator[set[bytes | None]]:
    """Read a file in a thread, again and again; yield what was seen."""
    seen: set[bytes | None] = set()
    is_over = threading.Event()

    def read() -> None:
        while not is_over.is_set():
            seen.add(content_at(path))

    reader = threading.Thread(target=read, name="polls_the_result")
    reader.start()
    try:
        yield seen
    finally:
        is_over.set()
        reader.join()


CHECKS = (atomic, confinement, paths, unwritable)
