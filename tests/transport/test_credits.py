"""Credit for the batches of ingest, on a live server."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from pipeline.transport import wire
from pipeline.transport.folders import ServedFolders
from pipeline.transport.server import StageServer
from pipeline.transport.stubs import IngestStub
from pipeline.v1.pipeline_pb2 import Credit, ReadRequest
from pipeline.workloads.events import EVENTS
from pipeline.workloads.lines import line_source

GOOD = b'{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":10}\n'
BYTES = 1 << 20
TIMEOUT_S = 30


class Grants:
    """The credits of a call of `Credits.Grant`, one after the other."""

    def __init__(self, *given: Credit) -> None:
        self._credits: queue.SimpleQueue[Credit | None] = queue.SimpleQueue()
        for credit in given:
            self.give(credit)

    def give(self, credit: Credit | None) -> None:
        """Send a credit; None ends the stream."""
        self._credits.put(credit)

    def __iter__(self) -> Iterator[Credit]:
        return iter(self._credits.get, None)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StageServer]:
    """Ingest, serving files of ``tmp_path``."""
    server = StageServer(
        EVENTS, "ingest", f"unix:{tmp_path}/ingest", ServedFolders([tmp_path])
    )
    yield server
    server.stop_now()


@pytest.fixture
def channel(server: StageServer) -> Iterator[grpc.Channel]:
    """A channel to it."""
    options = wire.channel_options(server.address)
    with grpc.insecure_channel(server.address, options) as channel:
        yield channel


def read(channel: grpc.Channel, folder: Path, lines: int, run: str = "a run") -> Any:
    """Call `Ingest.Read` on a file of so many lines, for batches of 1,000."""
    path = folder / "in.ndjson"
    path.write_bytes(GOOD * lines)
    request = ReadRequest(batch_records=1000, batch_bytes=BYTES, run=run)
    wire.pack(line_source(path), into=request.source)
    return IngestStub(channel).Read(request, timeout=TIMEOUT_S)


def grant(channel: grpc.Channel, grants: Grants) -> Any:
    """Call `Credits.Grant`; returns the future of its reply."""
    call = channel.stream_unary(
        wire.GRANT,
        request_serializer=Credit.SerializeToString,
        response_deserializer=Empty.FromString,
    )
    return call.future(iter(grants), timeout=TIMEOUT_S)


def credit(batches: int, records: int) -> Credit:
    """Return credit for so many batches of at most so many records."""
    return Credit(
        run="a run", batches=batches, batch_records=records, batch_bytes=BYTES
    )


def test_each_batch_has_the_limits_of_the_newest_credit(
    channel: grpc.Channel, tmp_path: Path
) -> None:
    """Once the stream of credits has ended, the others need none."""
    batches = read(channel, tmp_path, lines=12)
    grants = Grants(credit(1, 2))
    granting = grant(channel, grants)
    sizes = [next(batches).records]
    grants.give(credit(3, 3))
    sizes += [next(batches).records, next(batches).records]
    grants.give(credit(4, 1))
    sizes += [next(batches).records]
    grants.give(None)
    sizes += [batch.records for batch in batches]

    assert sizes == [2, 3, 3, 1, 1, 1, 1]
    assert granting.result() == Empty()


def test_a_request_without_a_run_needs_no_credit(
    channel: grpc.Channel, tmp_path: Path
) -> None:
    """It has the limits of the request."""
    batches = read(channel, tmp_path, lines=1500, run="")

    assert [batch.records for batch in batches] == [1000, 500]


def test_credit_of_one_run_is_none_of_another(
    channel: grpc.Channel, tmp_path: Path
) -> None:
    """A batch waits, however much another run may send; a deadline ends the wait."""
    path = tmp_path / "in.ndjson"
    path.write_bytes(GOOD)
    request = ReadRequest(batch_records=1, batch_bytes=BYTES, run="another run")
    wire.pack(line_source(path), into=request.source)
    grants = Grants(credit(9, 9))
    granting = grant(channel, grants)
    batches = IngestStub(channel).Read(request, timeout=0.1)

    with pytest.raises(grpc.RpcError) as failure:
        next(batches)
    grants.give(None)

    assert failure.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert granting.result() == Empty()


def test_a_cancelled_call_does_not_wait_for_credit(
    server: StageServer, channel: grpc.Channel, tmp_path: Path
) -> None:
    """Its thread is free, so a drain returns long before its grace is over."""
    batches = read(channel, tmp_path, lines=2)
    grants = Grants(credit(1, 1))
    granting = grant(channel, grants)
    next(batches)
    batches.cancel()
    grants.give(None)
    granting.result()

    server.drain(grace_s=600)


@pytest.mark.parametrize(
    ("given", "details"),
    [
        ([], "takes a run first"),
        ([Credit(batches=1, batch_records=1, batch_bytes=1)], "takes a run first"),
        ([credit(1, 0)], "batch size 0: must be 1 or more"),
        ([credit(1, 1), Credit(batches=2)], "batch size 0: must be 1 or more"),
    ],
)
def test_credit_that_names_no_run_or_no_size_is_refused(
    channel: grpc.Channel, given: list[Credit], details: str
) -> None:
    """INVALID_ARGUMENT says what is wrong."""
    grants = Grants(*given)
    grants.give(None)

    with pytest.raises(grpc.RpcError) as failure:
        grant(channel, grants).result()

    assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert failure.value.details() == details
