"""TLS: what a server shows, and what a client trusts."""

from __future__ import annotations

from pathlib import Path

import grpc

from pipeline.errors import UsageError, one_line


def server_credentials(certificate: Path, key: Path) -> grpc.ServerCredentials:
    """Return what a server shows: a PEM file of its certificate chain, and its key's.

    Raises UsageError where a file can't be read.
    """
    return grpc.ssl_server_credentials([(_read(key), _read(certificate))])


def channel_credentials(root: Path) -> grpc.ChannelCredentials:
    """Return what a client trusts: whatever the PEM file ``root`` certifies.

    Raises UsageError where it can't be read.
    """
    return grpc.ssl_channel_credentials(_read(root))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"can't read {path}: {one_line(error)}") from error
