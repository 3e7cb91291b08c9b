"""The stage in Node as a server: its streams, its health, its start and its end."""

from __future__ import annotations

import json
import queue
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pipeline.transport import wire
from pipeline.v1.events_pb2 import EVENT_TYPE_CLICK, Events
from pipeline.v1.pipeline_pb2 import Batch
from pytest_pipeline import StageServerFactory, stage_fixture
from pytest_pipeline.servers.handle import Server
from tests.examples.rules_in_node import COMMAND, ONE, batch_of

node_rules = stage_fixture(COMMAND, name="rules")

HealthStatus = health_pb2.HealthCheckResponse


def test_each_batch_is_answered_before_the_next_one_is_sent(
    node_rules: Server,
) -> None:
    """And the end of the requests is the end of the call, with status OK."""
    requests: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
    call = node_rules.stub.Process(iter(requests.get, None), timeout=30)

    for number in range(5):
        requests.put(batch_of(number, ONE))
        assert next(call).number == number
    requests.put(None)

    assert list(call) == []
    assert call.code() is grpc.StatusCode.OK


def test_streams_do_not_wait_for_each_other(node_rules: Server) -> None:
    """Though one client sends without end and reads nothing."""
    request = batch_of(
        0, Events(type=[EVENT_TYPE_CLICK] * 20_000, value=[2**40] * 20_000)
    )
    stuck = node_rules.stub.Process(iter(lambda: request, None))

    replies = list(node_rules.stub.Process(iter([request] * 20), timeout=30))

    assert len(replies) == 20
    stuck.cancel()


def test_a_cancelled_stream_leaves_the_stage_serving(node_rules: Server) -> None:
    """Whenever it is cancelled, and whatever is under way then."""
    for replies in (0, 1, 5):
        call: Any = node_rules.stub.Process(
            batch_of(number, ONE) for number in range(1000)
        )
        for _ in range(replies):
            next(call)
        call.cancel()
        assert call.code() is grpc.StatusCode.CANCELLED

    assert node_rules.health == "SERVING"
    assert len(list(node_rules.stub.Process(iter([batch_of(0, ONE)])))) == 1


def test_compressed_messages_are_not_taken(node_rules: Server) -> None:
    """Instead of being misread; a client has to ask for compression to send them."""
    batch = batch_of(0, Events(user=["u" * 1000]))
    call = node_rules.stub.Process(iter([batch]), compression=grpc.Compression.Gzip)

    with pytest.raises(grpc.RpcError):
        next(call)

    assert call.code() is grpc.StatusCode.UNIMPLEMENTED
    assert call.details() == "takes no compressed messages"


def test_what_is_no_method_is_unimplemented(node_rules: Server) -> None:
    """The status says which one it was, whatever its name has in it."""
    call: Any = node_rules.channel.unary_unary("/pipeline.v1.Stage/Prozeß%")

    with pytest.raises(grpc.RpcError) as refused:
        call(b"")

    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "/pipeline.v1.Stage/Proze" in (refused.value.details() or "")


@pytest.mark.parametrize("service", ["", "pipeline.v1.Stage"])
def test_health_says_serving(node_rules: Server, service: str) -> None:
    """Of the server as a whole and of its service, asked once or watched."""
    stub: Any = health_pb2_grpc.HealthStub(node_rules.channel)
    request = health_pb2.HealthCheckRequest(service=service)
    watch = stub.Watch(request)

    assert stub.Check(request).status == HealthStatus.SERVING
    assert next(watch).status == HealthStatus.SERVING
    watch.cancel()


def test_health_does_not_know_other_services(node_rules: Server) -> None:
    """As the protocol of the health service has it."""
    stub: Any = health_pb2_grpc.HealthStub(node_rules.channel)
    request = health_pb2.HealthCheckRequest(service="pipeline.v1.Sink")
    watch = stub.Watch(request)

    with pytest.raises(grpc.RpcError) as refused:
        stub.Check(request)

    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert next(watch).status == HealthStatus.SERVICE_UNKNOWN
    watch.cancel()


def test_the_handshake_is_one_line_and_all_that_it_prints() -> None:
    """It names the stage, the workload and an address at which it listens."""
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        handshake = json.loads(process.stdout.readline())
        host, _, port = handshake.pop("address").rpartition(":")
        # A connection that says nothing does not keep it from ending.
        with socket.create_connection((host, int(port)), timeout=10):
            process.send_signal(signal.SIGTERM)
            rest, _ = process.communicate(timeout=10)

    assert handshake == {"stage": "rules", "workload": "events"}
    assert host == "127.0.0.1"
    assert (rest, process.returncode) == (b"", 0)


def test_sigterm_lets_open_streams_finish_and_refuses_new_ones(
    stage_server: StageServerFactory,
) -> None:
    """Whoever watches its health is told, and it ends with exit code 0."""
    server = stage_server(COMMAND, name="rules")
    requests: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
    call = server.stub.Process(iter(requests.get, None), timeout=30)
    requests.put(batch_of(0, ONE))
    assert next(call).number == 0

    with (
        ThreadPoolExecutor() as threads,
        grpc.insecure_channel(server.address, options=wire.OPTIONS) as channel,
    ):
        stub: Any = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == HealthStatus.SERVING
        stopping = threads.submit(server.stop)
        assert [reply.status for reply in watch] == [HealthStatus.NOT_SERVING]
        with pytest.raises(grpc.RpcError) as refused:
            stub.Check(health_pb2.HealthCheckRequest())
        requests.put(batch_of(1, ONE))
        assert next(call).number == 1
        requests.put(None)
        assert list(call) == []
        stopping.result()

    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert call.code() is grpc.StatusCode.OK
    assert server.ending == "ended with exit code 0"
