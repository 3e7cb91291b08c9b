"""TLS credentials of servers and channels."""

from __future__ import annotations

from pathlib import Path

import grpc

from pipeline.errors import UsageError, one_line


def server_credentials(certificate: Path, key: Path) -> grpc.ServerCredentials:
    """Return the credentials of a server.

    Args:
        certificate: PEM file of the certificate chain.
        key: PEM file of its private key.

    Raises:
        UsageError: A file can't be read.
    """
    return grpc.ssl_server_credentials([(_read(key), _read(certificate))])


def channel_credentials(root: Path) -> grpc.ChannelCredentials:
    """Return the credentials of a channel.

    Args:
        root: PEM file of the certificates that the client trusts.

    Raises:
        UsageError: It can't be read.
    """
    return grpc.ssl_channel_credentials(_read(root))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"can't read {path}: {one_line(error)}") from error
