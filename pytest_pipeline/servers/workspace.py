"""The temporary files of a pool of servers: sockets, logs, certificates."""

from __future__ import annotations

import os
import shutil
from functools import cached_property
from pathlib import Path

import grpc
import pytest

from pipeline.transport.credentials import server_credentials
from pipeline.transport.processes import new_folder
from pytest_pipeline.options import TLS_TRANSPORTS, Transport


class Workspace:
    """A temporary folder, and names that are unique within it.

    Args:
        served: Folder below which ingest may read and the sink may write.
    """

    def __init__(self, served: Path) -> None:
        self.served = served
        self._folder = new_folder()
        self._counts: dict[str, int] = {}

    @cached_property
    def certificates(self) -> Certificates:
        """The certificates of this session, made when they are first needed."""
        return Certificates(self._folder)

    def unique(self, name: str) -> str:
        """Return ``name``, with a number from the second call on."""
        count = self._counts[name] = self._counts.get(name, 0) + 1
        return name if count == 1 else f"{name}-{count}"

    def new_path(self, name: str, suffix: str = "") -> Path:
        """Return the path of a file that does not exist yet."""
        return self._folder / f"{self.unique(name.replace(os.sep, '-'))}{suffix}"

    def new_bind(self, transport: Transport) -> str:
        """Return an address for a new server to bind."""
        return f"unix:{self.new_path('s')}" if transport == "unix" else "127.0.0.1:0"

    def server_credentials(self, transport: Transport) -> grpc.ServerCredentials | None:
        """Return what a server shows to its clients; None without TLS."""
        if transport not in TLS_TRANSPORTS:
            return None
        made = self.certificates
        client_ca = made.root if transport == "mtls" else None
        return server_credentials(made.certificate, made.key, client_ca)

    def remove(self) -> None:
        """Remove the folder and everything in it."""
        shutil.rmtree(self._folder, ignore_errors=True)


class Certificates:
    """A certificate authority, and a certificate for localhost and 127.0.0.1.

    The fixture ``pipeline_certificates`` is one. Servers show the certificate, and
    under mutual TLS clients show it too.

    Raises:
        pytest.UsageError: trustme is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            import trustme
        except ImportError:
            raise pytest.UsageError(
                "--pipeline-transport: TLS needs trustme; pip install "
                "'pytest-grpc-pipeline[test]'"
            ) from None
        authority = trustme.CA()
        issued = authority.issue_cert("localhost", "127.0.0.1")
        #: PEM file of the authority.
        self.root = folder / "root.pem"
        #: PEM file of the certificate chain.
        self.certificate = folder / "certificate.pem"
        #: PEM file of its private key.
        self.key = folder / "key.pem"
        authority.cert_pem.write_to_path(str(self.root))
        issued.private_key_pem.write_to_path(str(self.key))
        for part in issued.cert_chain_pems:
            part.write_to_path(str(self.certificate), append=True)
