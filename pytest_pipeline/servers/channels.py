"""Channels to a server: their options, credentials and metadata."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from pipeline.errors import UsageError, one_line
from pipeline.transport import wire
from pytest_pipeline.options import TLS_TRANSPORTS
from pytest_pipeline.servers.arguments import Metadata
from pytest_pipeline.servers.specification import ServerSpec
from pytest_pipeline.servers.workspace import Workspace


class ChannelMaker:
    """Makes channels to a server.

    Raises:
        UsageError: A file of root certificates can't be read.
    """

    def __init__(self, spec: ServerSpec, workspace: Workspace) -> None:
        given = spec.channel
        defaults = wire.OPTIONS if spec.keeps_contract else wire.ISOLATION
        self._defaults = defaults
        self._given = given.options
        self._metadata = given.metadata
        #: What channels trust; None without TLS.
        self.credentials = _credentials(spec, workspace)
        #: What a proxy in front of the server shows, and what channels to it trust;
        #: None for a proxy without TLS.
        self.of_proxy = _of_proxy(spec, workspace)

    def _options(
        self, address: str, more: Sequence[tuple[str, Any]] = ()
    ) -> tuple[tuple[str, Any], ...]:
        """Return the options of a channel; of two with one name, the last counts."""
        every = (*self._defaults, *wire.address_options(address), *self._given, *more)
        return tuple(dict(every).items())

    def new(self, address: str) -> grpc.Channel:
        """Make a channel, for the caller to close."""
        options = self._options(address)
        if self.credentials is None:
            channel = grpc.insecure_channel(address, options=options)
        else:
            channel = grpc.secure_channel(address, self.credentials, options=options)
        if not self._metadata:
            return channel
        return grpc.intercept_channel(channel, _MetadataInterceptor(self._metadata))

    def new_aio(
        self, address: str, options: Sequence[tuple[str, Any]]
    ) -> grpc.aio.Channel:
        """Make a channel for the event loop that is running.

        Args:
            address: ``HOST:PORT`` or ``unix:PATH``.
            options: Channel arguments in addition to those of `new`.
        """
        every = self._options(address, options)
        interceptors = (
            [kind(self._metadata) for kind in _AIO_INTERCEPTORS]
            if self._metadata
            else []
        )
        if self.credentials is None:
            return grpc.aio.insecure_channel(
                address, options=every, interceptors=interceptors
            )
        return grpc.aio.secure_channel(
            address, self.credentials, options=every, interceptors=interceptors
        )


def _credentials(
    spec: ServerSpec, workspace: Workspace
) -> grpc.ChannelCredentials | None:
    given = spec.channel
    credentials = given.credentials
    if credentials is None and spec.transport in TLS_TRANSPORTS:
        credentials = _trusting(spec, workspace)
    if credentials is None or given.call_credentials is None:
        return credentials
    return grpc.composite_channel_credentials(credentials, given.call_credentials)


def _of_proxy(
    spec: ServerSpec, workspace: Workspace
) -> tuple[grpc.ServerCredentials, grpc.ChannelCredentials] | None:
    # Clients of other servers don't trust the certificates of this session.
    if not spec.trusts_session or spec.channel.credentials is not None:
        return None
    credentials = workspace.server_credentials(spec.transport)
    return None if credentials is None else (credentials, _trusting(spec, workspace))


def _trusting(spec: ServerSpec, workspace: Workspace) -> grpc.ChannelCredentials:
    """Return credentials that trust this session's certificates and the settings'.

    Under mutual TLS, they show the certificate of this session.
    """
    shown = workspace.certificates if spec.transport == "mtls" else None
    roots = [workspace.certificates.root] if spec.trusts_session else []
    if spec.tls_root:
        roots.append(spec.tls_root)
    try:
        return grpc.ssl_channel_credentials(
            b"\n".join(root.read_bytes() for root in roots),
            shown.key.read_bytes() if shown else None,
            shown.certificate.read_bytes() if shown else None,
        )
    except OSError as error:
        raise UsageError(
            f"--pipeline-tls-root {spec.tls_root}: {one_line(error)}"
        ) from error


@dataclass(frozen=True)
class _CallDetails(grpc.ClientCallDetails):
    """The details of a call, as an interceptor passes them on."""

    method: str
    timeout: float | None
    metadata: Any
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: Any


class _MetadataInterceptor(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Adds metadata to every call, before what the call itself is given."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata

    def _intercept(
        self, continuation: Callable[..., Any], details: Any, request: Any
    ) -> Any:
        sent = _CallDetails(
            details.method,
            details.timeout,
            (*self._metadata, *(details.metadata or ())),
            details.credentials,
            details.wait_for_ready,
            details.compression,
        )
        return continuation(sent, request)

    intercept_unary_unary: Any = _intercept
    intercept_unary_stream: Any = _intercept
    intercept_stream_unary: Any = _intercept
    intercept_stream_stream: Any = _intercept


class _AioMetadata:
    """Adds metadata to every call of one kind; grpc.aio takes a class for each kind."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata

    async def intercept(
        self, continuation: Callable[..., Awaitable[Any]], details: Any, request: Any
    ) -> Any:
        """Continue with more metadata."""
        sent = grpc.aio.ClientCallDetails(
            details.method,
            details.timeout,
            grpc.aio.Metadata(*self._metadata, *(details.metadata or ())),
            details.credentials,
            details.wait_for_ready,
        )
        return await continuation(sent, request)


class _AioUnaryUnary(_AioMetadata, grpc.aio.UnaryUnaryClientInterceptor):
    intercept_unary_unary: Any = _AioMetadata.intercept


class _AioUnaryStream(_AioMetadata, grpc.aio.UnaryStreamClientInterceptor):
    intercept_unary_stream: Any = _AioMetadata.intercept


class _AioStreamUnary(_AioMetadata, grpc.aio.StreamUnaryClientInterceptor):
    intercept_stream_unary: Any = _AioMetadata.intercept


class _AioStreamStream(_AioMetadata, grpc.aio.StreamStreamClientInterceptor):
    intercept_stream_stream: Any = _AioMetadata.intercept


_AIO_INTERCEPTORS = (_AioUnaryUnary, _AioUnaryStream, _AioStreamUnary, _AioStreamStream)
