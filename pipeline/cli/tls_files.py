"""The files of TLS and the token that a run reaches its servers with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import UsageError

if TYPE_CHECKING:
    import grpc


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Files as they were given; None for those that were not."""

    root: Path | None
    certificate: Path | None
    key: Path | None
    token: Path | None

    @property
    def options(self) -> dict[str, Path | None]:
        """The files by the name of their option."""
        return {
            "--tls-root": self.root,
            "--tls-certificate": self.certificate,
            "--tls-key": self.key,
            "--token-file": self.token,
        }

    def credentials(self) -> grpc.ChannelCredentials | None:
        """Return the credentials of channels; None for channels without TLS.

        Raises:
            UsageError: The options contradict each other, or a file can't be read.
        """
        if (self.certificate is None) != (self.key is None):
            raise UsageError("--tls-certificate and --tls-key: give both or neither")
        if self.root is None:
            for option, given in self.options.items():
                if given:
                    raise UsageError(f"{option}: needs TLS; give --tls-root too")
            return None
        # Imported here so that --help does not load gRPC.
        from pipeline.transport.credentials import channel_credentials

        return channel_credentials(self.root, self.certificate, self.key, self.token)
