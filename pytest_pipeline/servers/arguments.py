"""The arguments of ``stage_server`` that are those of gRPC's servers and channels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc

from pipeline.errors import UsageError

Options: TypeAlias = tuple[tuple[str, Any], ...]
Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]


@dataclass(frozen=True)
class ServerArguments:
    """What `grpc.server` or `grpc.aio.server` is given for a user's servicer."""

    options: Options = ()
    interceptors: tuple[Any, ...] = ()
    #: Threads for RPCs; None for the number that our own servers have.
    max_workers: int | None = None
    compression: grpc.Compression | None = None
    credentials: grpc.ServerCredentials | None = None

    def interceptors_for(self, *, is_aio: bool, name: str) -> tuple[Any, ...]:
        """Return the interceptors of a server of that kind.

        Raises:
            UsageError: One of them is for the other kind, or is none.
        """
        for each in self.interceptors:
            fits_aio = isinstance(each, grpc.aio.ServerInterceptor)
            if is_aio and not fits_aio:
                raise UsageError(
                    f"interceptors: {_name(each)} must be a grpc.aio.ServerInterceptor,"
                    f" since RPCs of {name} run in asyncio"
                )
            if not is_aio and not isinstance(each, grpc.ServerInterceptor):
                raise UsageError(
                    f"interceptors: {_name(each)} must be a grpc.ServerInterceptor, "
                    f"since RPCs of {name} run in threads"
                )
        return self.interceptors


@dataclass(frozen=True)
class ChannelArguments:
    """What channels to a server are given."""

    options: Options = ()
    #: Sent with every call.
    metadata: Metadata = ()
    #: In place of what the plugin trusts.
    credentials: grpc.ChannelCredentials | None = None
    #: Added to what the channel trusts, under TLS.
    call_credentials: grpc.CallCredentials | None = None


#: gRPC's defaults.
SERVER_DEFAULTS = ServerArguments()
CHANNEL_DEFAULTS = ChannelArguments()


def options_of(name: str, given: Iterable[Any]) -> Options:
    """Return channel arguments of gRPC as a tuple of pairs.

    Raises:
        UsageError: They are something else.
    """
    pairs = _pairs(name, given, "such as ('grpc.max_receive_message_length', -1)")
    return tuple((str(key), value) for key, value in pairs)


def metadata_of(given: Iterable[Any]) -> Metadata:
    """Return metadata as a tuple of pairs.

    Raises:
        UsageError: It is something else.
    """
    pairs = _pairs("metadata", given, "such as ('authorization', 'Bearer …')")
    for key, value in pairs:
        if key != key.lower() or not isinstance(value, str | bytes):
            raise UsageError(
                f"metadata {key!r}: gRPC takes keys in lower case, and values that are "
                f"str, or bytes under keys that end with -bin"
            )
    return tuple(pairs)


def max_workers_of(given: int | None) -> int | None:
    """Return a number of threads.

    Raises:
        UsageError: It is less than 1, or no number.
    """
    is_number = isinstance(given, int) and not isinstance(given, bool)
    if given is None or (is_number and given >= 1):
        return given
    raise UsageError(f"max_workers={given!r}: must be a number from 1")


def _pairs(name: str, given: Iterable[Any], example: str) -> list[tuple[str, Any]]:
    each = given.items() if isinstance(given, Mapping) else given
    try:
        pairs = [(key, value) for key, value in each]
    except (TypeError, ValueError):
        pairs = [(None, None)]
    if isinstance(given, str) or not all(isinstance(key, str) for key, _ in pairs):
        raise UsageError(f"{name}={given!r}: must be pairs, {example}")
    return pairs


def _name(interceptor: Any) -> str:
    if isinstance(interceptor, type):
        return f"the class {interceptor.__name__}"
    return type(interceptor).__name__
