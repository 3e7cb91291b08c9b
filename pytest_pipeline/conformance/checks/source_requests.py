"""Checks of requests to ingest: which ones it must refuse, and how one is cancelled."""

from __future__ import annotations

import grpc

from pipeline.v1.pipeline_pb2 import ReadRequest
from pytest_pipeline.conformance.check import check, has_its_source
from pytest_pipeline.conformance.errors import Violation
from pytest_pipeline.conformance.ingest_under_test import IngestUnderTest, records_in
from pytest_pipeline.conformance.stage_under_test import NARROW
from pytest_pipeline.conformance.unusual import (
    UNDECODABLE,
    UNKNOWN_FIELDS,
    UNKNOWN_TYPE,
    unusual_type_urls,
)

# More than the threads of a server, by the default of gRPC or of this project.
_CANCELLED = 80


@check("source.wrong-limits", has_its_source)
async def wrong_limits(stage: IngestUnderTest) -> None:
    """No batch fits limits below 1, and INVALID_ARGUMENT shows that the sender is at
    fault.
    """
    with stage.source() as source:
        for name in ("batch_records", "batch_bytes"):
            request = stage.request(source, **{name: 0})
            await _check_refused(stage, request, f"{name} 0")


@check("source.unknown-type", has_its_source)
async def unknown_type(stage: IngestUnderTest) -> None:
    """A run that is wired wrongly must not read something else, so a source of another
    type, or none, is refused.
    """
    with stage.source() as source:
        request = stage.request(source)
        request.source.type_url = UNKNOWN_TYPE
        await _check_refused(stage, request, "a source of type nobody.knows.This")
        request.ClearField("source")
        await _check_refused(stage, request, "a request without a source")


@check("source.undecodable", has_its_source)
async def undecodable(stage: IngestUnderTest) -> None:
    """Bytes that do not decode are the sender's fault, and must not stop the server."""
    with stage.source() as source:
        request = stage.request(source)
        request.source.value = UNDECODABLE
        await _check_refused(stage, request, "a source that does not decode")
    await stage.check_serving()


@check("source.type-url", has_its_source)
async def type_url(stage: IngestUnderTest) -> None:
    """Languages write different hosts into a type URL, so only the part after the last
    slash counts.
    """
    with stage.source() as source:
        for url in unusual_type_urls(type(source)):
            request = stage.request(source)
            request.source.type_url = url
            ended = await stage.read(request)
            if ended.code is not grpc.StatusCode.OK:
                raise Violation(f"a source of type {url} is refused: {ended.status}")


@check("source.unknown-fields", has_its_source)
async def unknown_fields(stage: IngestUnderTest) -> None:
    """The contract grows by new fields, so an ingest must accept fields that it does
    not know.
    """
    with stage.source() as source:
        request = stage.request(source)
        request.source.value += UNKNOWN_FIELDS
        batches = await stage.read_well(request.SerializeToString() + UNKNOWN_FIELDS)
        wanted = sum(map(records_in, stage.expected(source)))
    found = sum(map(records_in, batches))
    if found != wanted:
        raise Violation(f"with unknown fields, {found} of {wanted} records came")


@check("source.cancel", has_its_source)
async def cancel(stage: IngestUnderTest) -> None:
    """Runs are interrupted, and the streams that they abandon must not exhaust the
    server.
    """
    cancelled = 0
    try:
        with stage.source("long") as source:
            request = stage.request(source, batch_records=100)
            async with stage.server.aio_channel(NARROW) as channel:
                while cancelled < _CANCELLED:
                    call = stage.open(channel)
                    try:
                        call.start_to_send([request])
                        await call.receive()
                    finally:
                        await call.give_up()
                    cancelled += 1
        await stage.check_serving()
    except Violation as violation:
        raise Violation(
            f"after {cancelled} streams were cancelled: {violation}"
        ) from None


async def _check_refused(
    stage: IngestUnderTest, request: ReadRequest, what: str
) -> None:
    ended = await stage.read(request)
    if ended.code is not grpc.StatusCode.INVALID_ARGUMENT or ended.replies:
        raise Violation(
            f"{what} must be refused with INVALID_ARGUMENT; {len(ended.replies)} "
            f"batches came, and the stream ended with {ended.status}"
        )


CHECKS = (wrong_limits, unknown_type, undecodable, type_url, unknown_fields, cancel)
