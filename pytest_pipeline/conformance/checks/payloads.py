"""Checks of payloads: which ones a stage must accept, and which it must refuse."""

from __future__ import annotations

import grpc

from pipeline.v1.pipeline_pb2 import Batch
from pytest_pipeline.conformance.check import check, has_limit
from pytest_pipeline.conformance.difference import difference_of
from pytest_pipeline.conformance.errors import Violation
from pytest_pipeline.conformance.transform_under_test import TransformUnderTest
from pytest_pipeline.conformance.unusual import (
    UNDECODABLE,
    UNKNOWN_FIELDS,
    UNKNOWN_TYPE,
    unusual_type_urls,
)

# The payload bytes at which a run cuts a batch by default.
_LARGE = 16 * 1024 * 1024
# More than the envelope adds to its payload.
_ENVELOPE = 1024


@check("payload.unknown-fields")
async def unknown_fields(stage: TransformUnderTest) -> None:
    """The contract grows by new fields, so a stage must accept fields that it does not
    know.
    """
    (request,) = stage.requests((9,))
    batch = request.copy()
    batch.payload.value += UNKNOWN_FIELDS
    replies = await stage.exchange_well([batch.SerializeToString() + UNKNOWN_FIELDS])
    if len(replies) != 1:
        raise Violation(f"a batch with unknown fields got {len(replies)} replies")
    difference = difference_of(request.expected, stage.content(replies[0]))
    if difference:
        raise Violation(f"with unknown fields in envelope and payload: {difference}")


@check("payload.type-url")
async def type_url(stage: TransformUnderTest) -> None:
    """Languages write different hosts into a type URL, so only the part after the last
    slash counts.
    """
    (request,) = stage.requests((5,))
    for url in unusual_type_urls(stage.function.takes):
        batch = request.copy()
        batch.payload.type_url = url
        ended = await stage.exchange([batch])
        if ended.code is not grpc.StatusCode.OK or len(ended.replies) != 1:
            raise Violation(
                f"a payload of type {batch.payload.type_url} is refused: {ended.status}"
            )


@check("payload.unknown-type")
async def unknown_type(stage: TransformUnderTest) -> None:
    """A stage that is wired wrongly must not guess, and INVALID_ARGUMENT shows that the
    sender is at fault.
    """
    batch = stage.requests((5,))[0].copy()
    batch.payload.type_url = UNKNOWN_TYPE
    await _check_refused(stage, batch, "a payload of type nobody.knows.This")


@check("payload.missing")
async def missing(stage: TransformUnderTest) -> None:
    """A batch without a payload is a fault of the sender, not an empty batch."""
    await _check_refused(stage, Batch(number=0, records=3), "a batch without payload")


@check("payload.undecodable")
async def undecodable(stage: TransformUnderTest) -> None:
    """Bytes that do not decode are the sender's fault, and must not stop the server."""
    batch = stage.requests((5,))[0].copy()
    batch.payload.value = UNDECODABLE
    await _check_refused(stage, batch, "bytes that do not decode")
    await stage.check_serving()


@check("limit.within")
async def within_limit(stage: TransformUnderTest) -> None:
    """Runs send batches of up to 16 MiB unless told otherwise, so a stage must accept
    them or declare a smaller limit.
    """
    limit = stage.declaration.max_message_bytes
    size = min(limit or _LARGE, _LARGE + _ENVELOPE)
    ended = await stage.exchange([_of_size(stage, size)])
    if ended.code is not grpc.StatusCode.OK or len(ended.replies) != 1:
        raise Violation(f"a message of {size:,} bytes is refused: {ended.status}")


@check("limit.over", has_limit)
async def over_limit(stage: TransformUnderTest) -> None:
    """A stage must enforce the limit that it declares, and go on serving after a larger
    message.
    """
    limit = stage.declaration.max_message_bytes or 0
    ended = await stage.exchange([_of_size(stage, limit + 1)])
    if ended.code is not grpc.StatusCode.RESOURCE_EXHAUSTED or ended.replies:
        raise Violation(
            f"declares to take {limit:,} bytes, but a message with one more got "
            f"{len(ended.replies)} replies and ended with {ended.status}"
        )
    await stage.check_serving()


async def _check_refused(stage: TransformUnderTest, batch: Batch, what: str) -> None:
    ended = await stage.exchange([batch])
    if ended.code is not grpc.StatusCode.INVALID_ARGUMENT:
        raise Violation(
            f"{what} must be refused with INVALID_ARGUMENT; the stream ended with "
            f"{ended.status}"
        )


def _of_size(stage: TransformUnderTest, size: int) -> bytes:
    """Return a serialised batch of exactly ``size`` bytes."""
    batch = stage.requests((2,))[0].copy()
    known = batch.payload.value
    # Leave room for the tag of the unknown field and for longer length prefixes.
    padding = size - batch.ByteSize() - 16
    while True:
        tag_and_length = b"\xc2\x3e" + _varint(padding)
        batch.payload.value = known + tag_and_length + bytes(padding)
        missing_bytes = size - batch.ByteSize()
        if not missing_bytes:
            return batch.SerializeToString()
        padding += missing_bytes


def _varint(number: int) -> bytes:
    digits = []
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])


CHECKS = (
    unknown_fields,
    type_url,
    unknown_type,
    missing,
    undecodable,
    within_limit,
    over_limit,
)
