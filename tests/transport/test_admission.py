"""What hostile clients get from a server, while others are still served."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2

from pipeline.stages import Output
from pipeline.transport import wire
from pipeline.transport.admission import ServerLimits
from pipeline.transport.disclosure import Disclosure, own_secret
from pipeline.transport.folders import ServedFolders
from pipeline.transport.server import StageServer
from pipeline.transport.stubs import IngestStub, StageStub
from pipeline.v1.events_pb2 import Amounts, Events
from pipeline.v1.lines_pb2 import Lines
from pipeline.v1.pipeline_pb2 import Batch, ReadRequest
from pipeline.workloads.events import EVENTS
from tests.engines.failing import with_rules

CHECK = "/grpc.health.v1.Health/Check"
SERVING = health_pb2.HealthCheckResponse.SERVING
PAYLOAD_BYTES = 1 << 20


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """The folder that ingest serves."""
    folder = tmp_path / "served"
    folder.mkdir()
    return folder


@pytest.fixture
def channel_to(tmp_path: Path, served: Path) -> Iterator[Any]:
    """Returns a channel to a new server."""
    servers: list[StageServer] = []

    def channel_to(
        stage: str,
        limits: ServerLimits | None = None,
        disclosure: Disclosure | None = None,
        workload: Any = EVENTS,
    ) -> grpc.Channel:
        server = StageServer(
            workload,
            stage,
            f"unix:{tmp_path}/{len(servers)}",
            ServedFolders([served], pipes=False),
            limits=limits,
            disclosure=disclosure,
        )
        servers.append(server)
        return grpc.insecure_channel(
            server.address, wire.channel_options(server.address)
        )

    yield channel_to
    for server in servers:
        server.stop_now()


def batch(text: bytes = b"") -> Batch:
    """Return a batch for parse."""
    request = Batch()
    wire.pack(Lines(text=text), into=request.payload)
    return request


def idle() -> Iterator[Batch]:
    """Send one batch, then neither another nor the end."""
    yield batch()
    threading.Event().wait(60)


def health_of(channel: grpc.Channel) -> int:
    """Ask the health service."""
    check: Any = channel.unary_unary(
        CHECK,
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    status: int = check(health_pb2.HealthCheckRequest(), timeout=10).status
    return status


def status_of(call: Any) -> tuple[grpc.StatusCode, str]:
    """Return how a call ends."""
    with pytest.raises(grpc.RpcError) as caught:
        list(call)
    error: Any = caught.value
    return error.code(), error.details()


def ending_of(channel: grpc.Channel) -> grpc.StatusCode:
    """Return how a call of one batch ends."""
    call = StageStub(channel).Process(iter([batch()]), timeout=30)
    with suppress(grpc.RpcError):
        list(call)
    code: grpc.StatusCode = call.code()
    return code


def read(channel: grpc.Channel, path: str) -> tuple[grpc.StatusCode, str]:
    """Ask ingest for a file, and return how the call ends."""
    request = ReadRequest(batch_records=1, batch_bytes=1000)
    wire.pack(EVENTS.source.describe(path), into=request.source)
    return status_of(IngestStub(channel).Read(request, timeout=30))


def test_a_full_server_refuses_streams_and_answers_health(channel_to: Any) -> None:
    """A stream that ends makes room for another."""
    channel = channel_to("parse", ServerLimits(streams=2))
    open_ones = [StageStub(channel).Process(idle()) for _ in range(2)]
    for call in open_ones:
        next(call)

    assert status_of(StageStub(channel).Process(iter([batch()]), timeout=30)) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "the server is full; try again later, or start another one",
    )
    assert health_of(channel) == SERVING

    open_ones[0].cancel()
    # The server may not know yet that the call was cancelled.
    while (code := ending_of(channel)) is grpc.StatusCode.RESOURCE_EXHAUSTED:
        pass
    assert code is grpc.StatusCode.OK
    open_ones[1].cancel()


def test_a_stream_whose_client_is_idle_is_ended(channel_to: Any) -> None:
    """So is a call that never sends its request, of health too."""
    silent = threading.Event()

    def nothing() -> Iterator[bytes]:
        silent.wait(60)
        yield from ()

    parse = channel_to("parse", ServerLimits(idle_s=0.1))
    ingest = channel_to("ingest", ServerLimits(idle_s=0.1))
    calls = [
        StageStub(parse).Process(idle(), timeout=30),
        ingest.stream_stream(wire.READ)(nothing(), timeout=30),
        ingest.stream_stream(CHECK)(nothing(), timeout=30),
    ]

    assert [status_of(call)[0] for call in calls] == [grpc.StatusCode.CANCELLED] * 3
    assert len(list(StageStub(parse).Process(iter([batch()]), timeout=30))) == 1
    assert health_of(ingest) == SERVING
    silent.set()


def test_a_message_that_is_too_large_is_refused(channel_to: Any) -> None:
    """RESOURCE_EXHAUSTED ends the call; the next one is served."""
    channel = channel_to("parse", ServerLimits(message_bytes=PAYLOAD_BYTES))
    large = batch(b"\n" * PAYLOAD_BYTES)
    code, details = status_of(StageStub(channel).Process(iter([large]), timeout=30))

    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in details
    assert len(list(StageStub(channel).Process(iter([batch()]), timeout=30))) == 1


def test_a_compressed_message_is_refused(channel_to: Any) -> None:
    """A megabyte of gzip could stand for a gigabyte."""
    channel = channel_to("parse")
    call = StageStub(channel).Process(
        iter([batch(b"\n" * PAYLOAD_BYTES)]),
        compression=grpc.Compression.Gzip,
        timeout=30,
    )

    assert status_of(call)[0] is grpc.StatusCode.UNIMPLEMENTED


def test_connections_are_limited(channel_to: Any, tmp_path: Path) -> None:
    """One more is closed; those that are open stay so."""
    channel_to("parse", ServerLimits(connections=2))
    with ExitStack() as stack:
        greeted = []
        for _ in range(3):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.settimeout(30)
            client.connect(f"{tmp_path}/0")
            # HTTP/2 begins with the server's settings.
            greeted.append(bool(client.recv(1)))

    assert greeted == [True, True, False]


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000, "loop"])
def test_a_path_that_no_file_can_have_is_refused(
    channel_to: Any, served: Path, path: str
) -> None:
    """The status has neither a traceback nor a path of the server."""
    (served / "loop").symlink_to("loop")
    code, details = read(channel_to("ingest"), path)

    assert code in {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
    }
    assert "Traceback" not in details
    assert str(served) not in details


def test_a_status_is_one_line(channel_to: Any) -> None:
    """A newline in a path can't look like another line of a log."""
    _, details = read(channel_to("ingest"), "a\n2026-01-01 parse ERROR b")

    assert details == (
        "can't read a\\n2026-01-01 parse ERROR b: no such file or directory"
    )


def test_pipes_and_devices_are_refused(channel_to: Any, served: Path) -> None:
    """By name, and through a link; nobody waits for a writer."""
    os.mkfifo(served / "pipe")
    (served / "link").symlink_to("pipe")
    channel = channel_to("ingest")

    for name in ("pipe", "link"):
        details = (
            f"can't read {name}: it is a pipe or a device, and this ingest reads files "
            f"only"
        )
        assert read(channel, name) == (grpc.StatusCode.FAILED_PRECONDITION, details)


@pytest.mark.parametrize(
    ("disclosure", "is_told"),
    [
        (Disclosure(""), False),
        (Disclosure("another secret"), False),
        (Disclosure(own_secret()), True),
        (Disclosure(), True),
    ],
)
def test_only_who_knows_the_secret_is_told_why_a_function_failed(
    channel_to: Any, disclosure: Disclosure, is_told: bool
) -> None:
    """Others get the place alone: no text of the exception and no traceback."""

    def broken(_: Events) -> Output[Amounts]:
        raise ZeroDivisionError("of a value")

    workload = with_rules(broken)
    channel = channel_to("rules", disclosure=disclosure, workload=workload)
    request = Batch()
    wire.pack(Events(), into=request.payload)
    call = StageStub(channel).Process(iter([request]), timeout=30)
    code, details = status_of(call)

    assert code is grpc.StatusCode.INTERNAL
    assert ("ZeroDivisionError" in details) is is_told
    assert (wire.TRACEBACK_KEY in dict(call.trailing_metadata())) is is_told


def test_a_socket_is_for_its_owner_only(channel_to: Any, tmp_path: Path) -> None:
    """Others can't connect, whatever the mask of the process."""
    channel_to("parse")

    assert stat.S_IMODE((tmp_path / "0").stat().st_mode) == 0o600
