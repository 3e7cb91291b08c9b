"""Checks of the files of a source: which ones ingest may read, and which it can't."""

from __future__ import annotations

import os
from pathlib import Path

import grpc

from pytest_pipeline.conformance.check import check, reads_a_file, reads_lines
from pytest_pipeline.conformance.errors import Violation
from pytest_pipeline.conformance.ingest_under_test import IngestUnderTest, records_in
from pytest_pipeline.conformance.places import escapes, ways_to
from pytest_pipeline.conformance.stage_under_test import NARROW


@check("source.missing", reads_a_file)
async def missing(stage: IngestUnderTest) -> None:
    """A user has mistyped the path, and FAILED_PRECONDITION tells that from a failure
    of the server.
    """
    with stage.scratch() as folder:
        for path, what in (
            (folder / "nothing", "a file that does not exist"),
            (folder / "nothing" / "file", "a file in a folder that does not exist"),
            (folder, "a folder"),
        ):
            await _check_refused(stage, path, what)


@check("source.confinement", reads_a_file)
async def confinement(stage: IngestUnderTest) -> None:
    """Whoever reaches the port names the path, so ingest must read no file outside the
    folders that it was told.
    """
    with stage.scratch() as folder, stage.outside() as outside:
        secret = outside / "secret"
        secret.write_bytes(stage.content)
        for path, what in escapes(stage.served, folder, secret):
            await _check_refused(stage, path, what)


@check("source.paths", reads_a_file)
async def paths(stage: IngestUnderTest) -> None:
    """A path may be relative to the folder, or lead through links and "..", and is
    served as long as it ends in the folder.
    """
    with stage.file(stage.content) as file:
        wanted = sum(map(records_in, stage.expected(stage.describe(file))))
        for path, what in ways_to(stage.served, file):
            try:
                batches = await stage.read_well(stage.request(stage.describe(path)))
            except Violation as violation:
                raise Violation(f"{what}: {violation}") from None
            found = sum(map(records_in, batches))
            if found != wanted:
                raise Violation(f"{what}: {found} of {wanted} records came")


@check("source.truncated", reads_lines)
async def truncated(stage: IngestUnderTest) -> None:
    """A file that shrinks while it is read would lose records in silence, so the stream
    must end with FAILED_PRECONDITION, unless all records come.
    """
    with stage.source("long") as source:
        path = Path(getattr(source, "path"))  # noqa: B009 - only a source of lines has one
        wanted = sum(map(records_in, stage.expected(source)))
        request = stage.request(source, batch_records=100)
        async with stage.reading(request, NARROW) as call:
            await call.receive()
            os.truncate(path, 0)
            ended = await call.rest()
    found = sum(map(records_in, ended.replies))
    is_whole = ended.code is grpc.StatusCode.OK and found == wanted
    if not is_whole and ended.code is not grpc.StatusCode.FAILED_PRECONDITION:
        raise Violation(
            f"its file was truncated while it was read; {found:,} of {wanted:,} "
            f"records came, and the stream ended with {ended.status}"
        )


async def _check_refused(stage: IngestUnderTest, path: Path | str, what: str) -> None:
    ended = await stage.read(stage.request(stage.describe(path)))
    if ended.code is not grpc.StatusCode.FAILED_PRECONDITION or ended.replies:
        raise Violation(
            f"{what} must be refused with FAILED_PRECONDITION; {len(ended.replies)} "
            f"batches came, and the stream ended with {ended.status}"
        )


CHECKS = (missing, confinement, paths, truncated)
