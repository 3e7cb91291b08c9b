"""Who may have a server open URLs: whoever has started it for that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest

from pipeline.transport import wire
from pipeline.transport.disclosure import Disclosure, own_secret
from pipeline.transport.folders import ServedFolders
from pipeline.transport.server import StageServer
from pipeline.transport.stubs import IngestStub
from pipeline.v1.pipeline_pb2 import ReadRequest
from pipeline.workloads.events import EVENTS
from pipeline.workloads.lines import line_source


@pytest.mark.parametrize(
    ("urls", "secret", "is_opened"),
    [
        (True, own_secret(), True),
        (True, "another secret", False),
        (True, "", False),
        (False, own_secret(), False),
    ],
    ids=["own-run", "another-run", "nobody's", "not-told"],
)
def test_a_server_opens_urls_only_for_who_has_started_it_so(
    tmp_path: Path, urls: bool, secret: str, is_opened: bool
) -> None:
    """Others could read what only this machine reaches."""
    (tmp_path / "in").write_bytes(b"a line\n")
    server = StageServer(
        EVENTS,
        "ingest",
        f"unix:{tmp_path}/socket",
        ServedFolders([tmp_path], urls=urls),
        disclosure=Disclosure(secret),
    )
    try:
        channel = grpc.insecure_channel(
            server.address, wire.channel_options(server.address)
        )
        request = ReadRequest(batch_records=1, batch_bytes=1)
        # Inside the folder that is served, so that it is refused as a URL.
        wire.pack(line_source(f"{tmp_path.as_uri()}/in"), into=request.source)
        call = IngestStub(channel).Read(request, timeout=30)

        if is_opened:
            assert len(list(call)) == 1
            return
        with pytest.raises(grpc.RpcError) as caught:
            list(call)
        error: Any = caught.value
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "this ingest opens no URLs" in error.details()
    finally:
        server.stop_now()
