"""Certificates for servers of this machine, made for one test session."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from pipeline.transport.credentials import channel_credentials, server_credentials


class Certificates:
    """An authority of its own, and a certificate for localhost and 127.0.0.1.

    Raises pytest.UsageError where trustme is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            import trustme
        except ImportError:
            raise pytest.UsageError(
                "--pipeline-transport tls: needs trustme; pip install "
                "'pytest-grpc-pipeline[test]'"
            ) from None
        authority = trustme.CA()
        issued = authority.issue_cert("localhost", "127.0.0.1")
        self.root = folder / "root.pem"
        self.certificate = folder / "certificate.pem"
        self.key = folder / "key.pem"
        authority.cert_pem.write_to_path(str(self.root))
        issued.private_key_pem.write_to_path(str(self.key))
        for part in issued.cert_chain_pems:
            part.write_to_path(str(self.certificate), append=True)

    @property
    def of_server(self) -> grpc.ServerCredentials:
        """What a server shows."""
        return server_credentials(self.certificate, self.key)

    @property
    def of_channel(self) -> grpc.ChannelCredentials:
        """What a client trusts."""
        return channel_credentials(self.root)
