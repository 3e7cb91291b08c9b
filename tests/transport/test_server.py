"""Stage servers: binding, health, reflection, draining, and not outliving anyone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from pipeline.errors import StageError, UsageError
from pipeline.transport import wire
from pipeline.transport.folders import ServedFolders
from pipeline.transport.server import StageServer
from pipeline.v1.lines_pb2 import Lines
from pipeline.v1.pipeline_pb2 import Batch
from pipeline.workloads.events import EVENTS

SERVING = health_pb2.HealthCheckResponse.SERVING


def start(bind: str, stage: str = "parse") -> StageServer:
    """Start a stage server in this process."""
    return StageServer(EVENTS, stage, bind, ServedFolders([]))


@pytest.fixture
def server() -> Iterator[StageServer]:
    """A parse server on a free port."""
    server = start("127.0.0.1:0")
    yield server
    server.stop_now()


@pytest.fixture
def channel(server: StageServer) -> Iterator[grpc.Channel]:
    """A channel to that server."""
    with grpc.insecure_channel(server.address) as channel:
        yield channel


def health_of(channel: grpc.Channel, service: str = "") -> int:
    """Ask the standard health service."""
    request = health_pb2.HealthCheckRequest(service=service)
    stub: Any = health_pb2_grpc.HealthStub(channel)
    status: int = stub.Check(request, timeout=10).status
    return status


def test_the_address_is_the_one_really_bound(server: StageServer) -> None:
    """Port 0 becomes a port, and somebody answers there."""
    host, _, port = server.address.rpartition(":")

    assert (host, int(port) > 0) == ("127.0.0.1", True)
    socket.create_connection((host, int(port)), timeout=10).close()


def test_health_says_serving_for_the_server_and_its_service(
    channel: grpc.Channel,
) -> None:
    """Both the empty name and the stage's service are known."""
    assert health_of(channel) == SERVING
    assert health_of(channel, wire.STAGE_SERVICE) == SERVING


def test_reflection_lists_the_services(channel: grpc.Channel) -> None:
    """A generic client can find out what is served."""
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    (reply,) = stub.ServerReflectionInfo(iter([request]), timeout=10)

    names = {service.name for service in reply.list_services_response.service}
    assert {wire.STAGE_SERVICE, "grpc.health.v1.Health"} <= names


def test_an_address_is_served_once(server: StageServer, tmp_path: Path) -> None:
    """A second server on a port or a socket is refused instead of sharing it."""
    with pytest.raises(StageError, match=f"can't bind {server.address}"):
        start(server.address)

    first = start(f"unix:{tmp_path}/s")
    with pytest.raises(StageError, match="another server is listening there"):
        start(f"unix:{tmp_path}/s")
    first.stop_now()


def test_a_socket_that_nobody_answers_is_taken_over(tmp_path: Path) -> None:
    """What a killed server left behind does not stand in the way."""
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(f"{tmp_path}/s")

    server = start(f"unix:{tmp_path}/s")
    with grpc.insecure_channel(server.address) as channel:
        assert health_of(channel) == SERVING
    server.stop_now()


@pytest.mark.parametrize(
    ("bind", "message"),
    [
        ("", "must be HOST:PORT or unix:PATH"),
        ("localhost", "must be HOST:PORT or unix:PATH"),
        ("localhost:99999", "must be HOST:PORT or unix:PATH"),
        ("unix:/" + "x" * 107, "108 bytes, and a socket's path has at most 107"),
    ],
)
def test_what_is_no_address_is_refused(bind: str, message: str) -> None:
    """The error says what an address looks like, or how long it may be."""
    with pytest.raises(UsageError, match=message):
        start(bind)


def test_a_stage_that_the_workload_lacks_is_refused() -> None:
    """The error lists those that there are."""
    with pytest.raises(UsageError, match="has ingest, parse, rules, aggregate, sink"):
        start("127.0.0.1:0", stage="pares")


def test_draining_lets_open_streams_finish_and_refuses_new_ones(
    server: StageServer, channel: grpc.Channel
) -> None:
    """A stream that was open before goes on to its end; health says not serving."""
    process = channel.stream_stream(
        wire.PROCESS,
        request_serializer=Batch.SerializeToString,
        response_deserializer=Batch.FromString,
    )
    numbers = iter(range(2))
    go_on = threading.Event()

    def requests() -> Iterator[Batch]:
        for number in numbers:
            batch = Batch(number=number)
            wire.pack(Lines(), into=batch.payload)
            yield batch
            go_on.wait(10)

    replies = process(requests(), timeout=30)
    first = next(replies)
    stub: Any = health_pb2_grpc.HealthStub(channel)
    watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=30)
    before = next(watch).status
    drain = threading.Thread(target=server.drain)
    drain.start()
    after = next(watch).status
    watch.cancel()
    # Health says so first, so that balancers turn away before anyone is refused.
    with pytest.raises(grpc.RpcError) as refused:  # noqa: PT012
        for _ in range(1000):
            list(process(iter([]), timeout=10))
    go_on.set()
    rest = list(replies)
    drain.join(30)

    assert (before, after) == (SERVING, health_pb2.HealthCheckResponse.NOT_SERVING)
    # CANCELLED where the request met the server on its way down.
    assert refused.value.code() in {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
    }
    assert [first.number, *(reply.number for reply in rest)] == [0, 1]
    assert replies.code() is grpc.StatusCode.OK
    assert not drain.is_alive()


@dataclass(frozen=True)
class Served:
    """A server process, and the end of its lifeline that is ours."""

    process: subprocess.Popen[bytes]
    lifeline: int

    def handshake(self) -> bytes:
        """Return the first line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()


@pytest.fixture
def served() -> Iterator[Served]:
    """`pipeline serve rules` as a process."""
    theirs, ours = os.pipe()
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "pipeline", "serve", "rules"),
            *("--lifeline", str(theirs)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=(theirs,),
    ) as process:
        os.close(theirs)
        yield Served(process, ours)
        process.kill()


def test_serve_prints_one_line_of_json_and_ends_on_sigterm(served: Served) -> None:
    """Standard output has the handshake and nothing else; the exit code is 0."""
    handshake = json.loads(served.handshake())
    served.process.send_signal(signal.SIGTERM)
    rest, log = served.process.communicate(timeout=30)
    os.close(served.lifeline)

    assert handshake["stage"] == "rules"
    assert handshake["workload"] == "events"
    assert handshake["pid"] == served.process.pid
    assert handshake["address"].startswith("127.0.0.1:")
    assert rest == b""
    assert b"draining" in log
    assert served.process.returncode == 0


def test_a_server_ends_with_whoever_started_it(served: Served) -> None:
    """When the lifeline closes, as at any end of its parent, the server stops."""
    served.handshake()
    os.close(served.lifeline)

    assert served.process.wait(timeout=30) == 0


# Its main thread never gets the signal, as none does that comes just before a wait.
DEAF = """
import signal, threading
from pipeline.transport.server import serve_until_stopped

class Server:
    def drain(self):
        print("drained")

    def stop_now(self):
        print("stopped")

def announce():
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    print("up", flush=True)

serve_until_stopped(Server(), announce)
"""


def test_a_signal_that_wakes_no_wait_is_heeded_all_the_same() -> None:
    """Whichever thread the system gives it to, the server drains."""
    with subprocess.Popen(
        [sys.executable, "-c", DEAF], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        try:
            said, _ = process.communicate(timeout=30)
        finally:
            process.kill()

    assert said == "drained\n"
    assert process.returncode == 0
