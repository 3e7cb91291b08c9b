"""The wire contract in Python: methods, payloads, and how a channel is set up."""

from __future__ import annotations

from typing import Any, TypeVar

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError, Message

from pipeline.v1 import pipeline_pb2

SERVICES = pipeline_pb2.DESCRIPTOR.services_by_name
INGEST_SERVICE: str = SERVICES["Ingest"].full_name
STAGE_SERVICE: str = SERVICES["Stage"].full_name
SINK_SERVICE: str = SERVICES["Sink"].full_name

READ = f"/{INGEST_SERVICE}/Read"
PROCESS = f"/{STAGE_SERVICE}/Process"
WRITE = f"/{SINK_SERVICE}/Write"

#: Trailing metadata with what a stage spent after its last reply.
TIMING_KEY = "pipeline-timing-bin"

#: Trailing metadata with the traceback of a stage function that failed.
TRACEBACK_KEY = "pipeline-traceback-bin"

#: For channels and servers alike. Batches are capped in bytes where they are cut, so
#: the message limit is off. Without so_reuseport 0, two servers on one port both
#: start and share its traffic.
OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # Room for a traceback; by default a call fails from 16 KiB on.
    ("grpc.max_metadata_size", 64 * 1024),
    ("grpc.so_reuseport", 0),
    ("grpc.use_local_subchannel_pool", 1),
)

M = TypeVar("M", bound=Message)


class PayloadError(ValueError):
    """A payload is of another type than the one wanted, or can't be decoded."""


def pack(message: Message, into: AnyMessage) -> None:
    """Put ``message`` into a payload."""
    into.type_url = _type_url(type(message))
    into.value = message.SerializeToString()


def unpack(payload: AnyMessage, wanted: type[M]) -> M:
    """Take the message out of a payload; raise PayloadError if it is not ``wanted``."""
    if payload.type_url != _type_url(wanted):
        name = payload.type_url.rpartition("/")[2]
        # Only the part behind the last slash names the type; others may differ.
        if name != wanted.DESCRIPTOR.full_name:
            raise PayloadError(
                f"takes {wanted.DESCRIPTOR.full_name}, was sent {name or 'no payload'}"
            )
    try:
        return wanted.FromString(payload.value)
    except DecodeError:
        raise PayloadError(
            f"was sent bytes that are no {wanted.DESCRIPTOR.full_name}"
        ) from None


def _type_url(message_type: type[Message]) -> str:
    return f"type.googleapis.com/{message_type.DESCRIPTOR.full_name}"
