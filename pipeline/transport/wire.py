"""The wire contract in Python: methods, metadata keys, channel options, payloads."""

from __future__ import annotations

import os
import re
from typing import Any, TypeVar

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError, Message

from pipeline.transport import disclosure
from pipeline.transport.workarounds import UNIX_OPTIONS
from pipeline.v1 import pipeline_pb2

SERVICES = pipeline_pb2.DESCRIPTOR.services_by_name
INGEST_SERVICE: str = SERVICES["Ingest"].full_name
CREDITS_SERVICE: str = SERVICES["Credits"].full_name
STAGE_SERVICE: str = SERVICES["Stage"].full_name
SINK_SERVICE: str = SERVICES["Sink"].full_name

READ = f"/{INGEST_SERVICE}/Read"
GRANT = f"/{CREDITS_SERVICE}/Grant"
PROCESS = f"/{STAGE_SERVICE}/Process"
WRITE = f"/{SINK_SERVICE}/Write"

#: Trailing metadata: what a stage spent after its last reply, as a `Timing`.
TIMING_KEY = "pipeline-timing-bin"

#: Trailing metadata: the traceback of a stage function that raised, in UTF-8.
TRACEBACK_KEY = "pipeline-traceback-bin"

#: Options of channels and servers alike that keep servers apart, and leave all else to
#: gRPC. With so_reuseport, its default, two servers could bind one port and share its
#: traffic.
ISOLATION: tuple[tuple[str, Any], ...] = (
    ("grpc.so_reuseport", 0),
    ("grpc.use_local_subchannel_pool", 1),
)

#: Options of channels and servers of the contract. The limit on messages is off,
#: because batches are limited in bytes where they are cut.
OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # Room for a traceback. By default a call fails if its metadata exceeds 16 KiB.
    ("grpc.max_metadata_size", 64 * 1024),
    *ISOLATION,
)

# The hosts that are always this machine.
_LOOPBACK = re.compile(
    r"localhost|127(\.\d{1,3}){3}|0\.0\.0\.0|\[(::1?|::ffff:127(\.\d{1,3}){3})\]",
    re.IGNORECASE,
)
# In the order in which gRPC looks for them.
_PROXY_VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy")
_NO_PROXY_VARIABLES = ("no_grpc_proxy", "no_proxy")

M = TypeVar("M", bound=Message)


class PayloadError(ValueError):
    """A payload has another type than the receiver takes, or can't be decoded."""


def channel_options(address: str) -> tuple[tuple[str, Any], ...]:
    """Return the options of a channel to a stage at ``address``."""
    # A server that this process started is on this machine; no other learns the secret.
    secret = disclosure.channel_options() if _is_here(address) else ()
    return (*OPTIONS, *address_options(address), *secret)


def address_options(address: str) -> tuple[tuple[str, Any], ...]:
    """Return the options that a channel to a server on this machine needs.

    gRPC takes a proxy from the environment, even for a loopback address.
    """
    if not _is_here(address):
        return ()
    is_unix = address.startswith("unix")
    return (("grpc.enable_http_proxy", 0), *(UNIX_OPTIONS if is_unix else ()))


def proxy_hint(address: str) -> str:
    """Return what to say of the proxy if nobody answers at ``address``.

    It is empty if calls to ``address`` use no proxy.
    """
    if _is_here(address):
        return ""
    variable = next((name for name in _PROXY_VARIABLES if os.environ.get(name)), "")
    host = _host(address).strip("[]")
    excepted = next(filter(None, map(os.environ.get, _NO_PROXY_VARIABLES)), "")
    if not variable or any(
        host.endswith(part.strip()) for part in excepted.split(",") if part.strip()
    ):
        return ""
    return (
        f"; the variable {variable} sends the call through a proxy; if that is in the "
        f"way, add {host} to no_proxy"
    )


def _is_here(address: str) -> bool:
    return address.startswith("unix") or bool(_LOOPBACK.fullmatch(_host(address)))


def _host(address: str) -> str:
    """Return the host of ``HOST:PORT``, or of a target of gRPC with a scheme."""
    return re.sub(r"^(dns:(///?)?|ipv[46]:)", "", address).rpartition(":")[0]


def pack(message: Message, into: AnyMessage) -> None:
    """Serialise ``message`` into a payload."""
    into.type_url = _type_url(type(message))
    into.value = message.SerializeToString()


def unpack(payload: AnyMessage, wanted: type[M]) -> M:
    """Return the message in a payload.

    Raises:
        PayloadError: The payload is not of type ``wanted``, or can't be decoded.
    """
    if payload.type_url != _type_url(wanted):
        name = payload.type_url.rpartition("/")[2]
        # Only what follows the last slash names the type; languages differ before it.
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
