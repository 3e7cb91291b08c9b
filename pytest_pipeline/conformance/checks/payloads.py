"""Payloads: those that are taken, and those that are refused."""

from __future__ import annotations

import grpc

from pipeline.v1.pipeline_pb2 import Batch
from pytest_pipeline.conformance.check import check, has_limit
from pytest_pipeline.conformance.difference import difference_of
from pytest_pipeline.conformance.leg import Violation
from pytest_pipeline.conformance.peer import Peer

# Field 1,000 of the wire format, as text and as a number: nobody has it yet.
_UNKNOWN = b"\xc2\x3e\x05later" + b"\xc8\x3e\x07"
#: A batch is cut at so many bytes of payload, unless a run is told otherwise.
_LARGE = 16 * 1024 * 1024
# What the envelope takes beside its payload, and more.
_ENVELOPE = 1024


@check("payload.unknown-fields")
async def unknown_fields(peer: Peer) -> None:
    """A contract grows by fields, and an old stage must go on among new ones."""
    (given,) = peer.given((9,))
    batch = given.copy()
    batch.payload.value += _UNKNOWN
    replies = await peer.exchange_well([batch.SerializeToString() + _UNKNOWN])
    if len(replies) != 1:
        raise Violation(f"a batch with unknown fields got {len(replies)} replies")
    difference = difference_of(given.expected, peer.content(replies[0]))
    if difference:
        raise Violation(f"with unknown fields in envelope and payload: {difference}")


@check("payload.type-url")
async def type_url(peer: Peer) -> None:
    """Languages write another host before the type, so only what follows the last
    slash counts.
    """
    (given,) = peer.given((5,))
    for prefix in ("", "types.example.com/deeper/"):
        batch = given.copy()
        batch.payload.type_url = prefix + peer.stage.takes.DESCRIPTOR.full_name
        if prefix == "":
            batch.payload.type_url = f"/{batch.payload.type_url}"
        ending = await peer.exchange([batch])
        if ending.code is not grpc.StatusCode.OK or len(ending.replies) != 1:
            raise Violation(
                f"a payload of type {batch.payload.type_url} is refused: {ending.how}"
            )


@check("payload.unknown-type")
async def unknown_type(peer: Peer) -> None:
    """Stages that are wired wrongly must not guess: INVALID_ARGUMENT tells whose fault
    it is.
    """
    batch = peer.given((5,))[0].copy()
    batch.payload.type_url = "type.googleapis.com/nobody.knows.This"
    await _check_refused(peer, batch, "a payload of type nobody.knows.This")


@check("payload.missing")
async def missing(peer: Peer) -> None:
    """A batch without payload is a fault of the sender, and not a batch of nothing."""
    await _check_refused(peer, Batch(number=0, records=3), "a batch without payload")


@check("payload.undecodable")
async def undecodable(peer: Peer) -> None:
    """Bytes that are no message are a fault of the sender, and must not end the
    server.
    """
    batch = peer.given((5,))[0].copy()
    # A field of ten bytes, of which there is one.
    batch.payload.value = b"\x0a\x0a\x01"
    await _check_refused(peer, batch, "bytes that do not decode")
    await peer.check_serving()


@check("limit.within")
async def within_limit(peer: Peer) -> None:
    """Batches are as large as runs have them cut, 16 MiB unless told otherwise or a
    smaller limit is declared.
    """
    limit = peer.declaration.max_message_bytes
    size = min(limit or _LARGE, _LARGE + _ENVELOPE)
    ending = await peer.exchange([_of_size(peer, size)])
    if ending.code is not grpc.StatusCode.OK or len(ending.replies) != 1:
        raise Violation(f"a message of {size:,} bytes is refused: {ending.how}")


@check("limit.over", has_limit)
async def over_limit(peer: Peer) -> None:
    """A stage that declares a limit must keep it, and outlive what is over it."""
    limit = peer.declaration.max_message_bytes or 0
    ending = await peer.exchange([_of_size(peer, limit + 1)])
    if ending.code is not grpc.StatusCode.RESOURCE_EXHAUSTED or ending.replies:
        raise Violation(
            f"declares to take {limit:,} bytes, but a message with one more got "
            f"{len(ending.replies)} replies and ended with {ending.how}"
        )
    await peer.check_serving()


async def _check_refused(peer: Peer, batch: Batch, what: str) -> None:
    ending = await peer.exchange([batch])
    if ending.code is not grpc.StatusCode.INVALID_ARGUMENT:
        raise Violation(
            f"{what} must be refused with INVALID_ARGUMENT; the stream ended with "
            f"{ending.how}"
        )


def _of_size(peer: Peer, size: int) -> bytes:
    """Return a batch that is a message of exactly so many bytes."""
    batch = peer.given((2,))[0].copy()
    known = batch.payload.value
    # Room for what an unknown field and longer lengths take.
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
