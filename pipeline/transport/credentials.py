"""TLS credentials of servers and channels, and bearer tokens."""

from __future__ import annotations

import hmac
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc

from pipeline.errors import UsageError, one_line

_log = logging.getLogger(__name__)

_Stamp = tuple[tuple[int, int, int], ...]


def server_credentials(
    certificate: Path, key: Path, client_ca: Path | None = None
) -> grpc.ServerCredentials:
    """Return the credentials of a server.

    The files are read again for a new connection if they have changed. If they don't
    fit each other then, the server goes on with those that it has.

    Args:
        certificate: PEM file of the certificate chain.
        key: PEM file of its private key.
        client_ca: PEM file of the certificates that vouch for clients. Clients without
            such a certificate are refused.

    Raises:
        UsageError: A file can't be read.
    """
    files = [key, certificate, *([client_ca] if client_ca else [])]

    def configuration(contents: list[bytes]) -> grpc.ServerCertificateConfiguration:
        root = contents[2] if client_ca else None
        return grpc.ssl_server_certificate_configuration(
            [(contents[0], contents[1])], root
        )

    contents = [_read(path) for path in files]
    changes = _Changes(files)

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        try:
            return configuration([_read(path) for path in files]) if changes() else None
        except (UsageError, ValueError) as error:
            _log.warning("keeps its certificates: %s", one_line(error))
            return None

    return grpc.dynamic_ssl_server_credentials(
        configuration(contents),
        renewed,  # type: ignore[arg-type] # None is for no change, says gRPC
        client_ca is not None,
    )


def channel_credentials(
    root: Path,
    certificate: Path | None = None,
    key: Path | None = None,
    token_file: Path | None = None,
) -> grpc.ChannelCredentials:
    """Return the credentials of a channel.

    Args:
        root: PEM file of the certificates that the client trusts.
        certificate: PEM file of the chain that the client shows; None shows none.
        key: PEM file of the private key of ``certificate``.
        token_file: File of a token to send with each call.

    Raises:
        UsageError: A file can't be read, or has no token.
    """
    credentials = grpc.ssl_channel_credentials(
        _read(root),
        _read(key) if key else None,
        _read(certificate) if certificate else None,
    )
    if token_file is None:
        return credentials
    token = grpc.access_token_call_credentials(_token(token_file).decode())
    return grpc.composite_channel_credentials(credentials, token)


class TokenCheck(grpc.ServerInterceptor):
    """Refuses calls that don't send the token of a file, as OAuth's bearer token.

    The file is read again when it has changed.

    Args:
        token_file: The file. White space around the token does not count.
        is_exempt: Returns whether the method of that path needs no token.

    Raises:
        UsageError: It can't be read, or has no token.
    """

    def __init__(self, token_file: Path, is_exempt: Callable[[str], bool]) -> None:
        def refuse(_: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
            context.abort(
                grpc.StatusCode.UNAUTHENTICATED, "send the token of this server"
            )

        self._file = token_file
        self._token = _token(token_file)
        self._changes = _Changes([token_file])
        self._is_exempt = is_exempt
        self._refused: grpc.RpcMethodHandler[Any, Any] = (
            grpc.stream_stream_rpc_method_handler(refuse)
        )

    def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Return the handler of a call, or one that refuses it."""
        method = handler_call_details.method
        if self._is_exempt(method) or self._is_sent(handler_call_details):
            return continuation(handler_call_details)
        return self._refused

    def _is_sent(self, details: grpc.HandlerCallDetails) -> bool:
        if self._changes():
            try:
                self._token = _token(self._file)
            except UsageError as error:
                _log.warning("keeps its token: %s", error)
        sent = dict(details.invocation_metadata or ()).get("authorization", "")
        given = sent.encode() if isinstance(sent, str) else sent
        return hmac.compare_digest(given, b"Bearer " + self._token)


class _Changes:
    """Returns, when called, whether files have changed since the last call."""

    def __init__(self, files: list[Path]) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._stamp = self._now()

    def __call__(self) -> bool:
        with self._lock:
            before, self._stamp = self._stamp, self._now()
            return before != self._stamp

    def _now(self) -> _Stamp | None:
        try:
            stats = [path.stat() for path in self._files]
        except OSError:
            return None
        return tuple((each.st_mtime_ns, each.st_size, each.st_ino) for each in stats)


def _token(path: Path) -> bytes:
    token = _read(path).strip()
    if not token or not token.isascii() or len(token.split()) > 1:
        raise UsageError(f"token file {path}: must hold one word of ASCII")
    return token


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"can't read {path}: {one_line(error)}") from error
