"""The stage in Node as a server: streams, health, start-up and shutdown."""

from __future__ import annotations

import json
import queue
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
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

pytestmark = pytest.mark.usefixtures("installed_node_example")

node_rules = stage_fixture(COMMAND, name="rules")

HealthStatus = health_pb2.HealthCheckResponse


def test_each_batch_is_answered_before_the_next_one_is_sent(
    node_rules: Server,
) -> None:
    """The call ends with status OK once the client has half-closed."""
    requests: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
    call = node_rules.stub.Process(iter(requests.get, None), timeout=30)

    for number in range(5):
        requests.put(batch_of(number, ONE))
        assert next(call).number == number
    requests.put(None)

    assert list(call) == []
    assert call.code() is grpc.StatusCode.OK


def test_streams_do_not_wait_for_each_other(node_rules: Server) -> None:
    """One client sends without end and reads nothing; another is still answered."""
    request = batch_of(
        0, Events(type=[EVENT_TYPE_CLICK] * 20_000, value=[2**40] * 20_000)
    )
    stuck = node_rules.stub.Process(iter(lambda: request, None))

    replies = list(node_rules.stub.Process(iter([request] * 20), timeout=30))

    assert len(replies) == 20
    stuck.cancel()


def test_a_client_that_does_not_read_is_kept_waiting(node_rules: Server) -> None:
    """The stage takes 4 batches of 90 kB; it took 19 with the buffers of grpc-js."""
    large = Events(type=[EVENT_TYPE_CLICK] * 10_000, value=[2**52] * 10_000)
    request = batch_of(0, large)
    sent: queue.SimpleQueue[int] = queue.SimpleQueue()

    def requests() -> Iterator[Batch]:
        for number in range(1, 21):
            sent.put(number)
            yield request

    narrow = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 16 * 1024)]
    with grpc.insecure_channel(
        node_rules.address, options=[*wire.OPTIONS, *narrow]
    ) as channel:
        process: Any = channel.stream_stream(
            wire.PROCESS, request_serializer=Batch.SerializeToString
        )
        call = process(requests())
        taken = 0
        with suppress(queue.Empty):
            # The stage has stopped reading once nothing was sent for three seconds.
            while taken < 20:
                taken = sent.get(timeout=3)
        call.cancel()

    assert 0 < taken <= 10


def test_a_cancelled_stream_leaves_the_stage_serving(node_rules: Server) -> None:
    """Before the first reply, after it, and in the middle of the stream."""
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


def test_compressed_messages_are_read(node_rules: Server) -> None:
    """A client has to ask for compression to send them."""
    batch = batch_of(
        0, Events(ts=["t" * 1000], type=[EVENT_TYPE_CLICK], user=["u"], value=[10])
    )

    (reply,) = node_rules.stub.Process(iter([batch]), compression=grpc.Compression.Gzip)

    assert (reply.number, reply.records) == (0, 1)


def test_an_unknown_method_is_unimplemented(node_rules: Server) -> None:
    """The status names the method, also if its name is not ASCII."""
    call: Any = node_rules.channel.unary_unary("/pipeline.v1.Stage/Prozeß%")

    with pytest.raises(grpc.RpcError) as refused:
        call(b"")

    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "/pipeline.v1.Stage/Proze" in (refused.value.details() or "")


@pytest.mark.parametrize("service", ["", "pipeline.v1.Stage"])
def test_health_says_serving(node_rules: Server, service: str) -> None:
    """For the server as a whole and for its service, by Check and by Watch."""
    stub: Any = health_pb2_grpc.HealthStub(node_rules.channel)
    request = health_pb2.HealthCheckRequest(service=service)
    watch = stub.Watch(request)

    assert stub.Check(request).status == HealthStatus.SERVING
    assert next(watch).status == HealthStatus.SERVING
    watch.cancel()


def test_health_of_an_unknown_service_is_unknown(node_rules: Server) -> None:
    """Check fails with NOT_FOUND, Watch reports SERVICE_UNKNOWN."""
    stub: Any = health_pb2_grpc.HealthStub(node_rules.channel)
    request = health_pb2.HealthCheckRequest(service="pipeline.v1.Sink")
    watch = stub.Watch(request)

    with pytest.raises(grpc.RpcError) as refused:
        stub.Check(request)

    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert next(watch).status == HealthStatus.SERVICE_UNKNOWN
    watch.cancel()


def test_the_handshake_is_the_only_line_on_standard_output() -> None:
    """It names the stage, the workload and an address at which it listens."""
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        handshake = json.loads(process.stdout.readline())
        host, _, port = handshake.pop("address").rpartition(":")
        # A connection on which nothing is ever sent does not keep it running.
        with socket.create_connection((host, int(port)), timeout=10):
            process.send_signal(signal.SIGTERM)
            rest, _ = process.communicate(timeout=10)

    assert handshake == {"stage": "rules", "workload": "events"}
    assert host == "127.0.0.1"
    assert (rest, process.returncode) == (b"", 0)


def test_sigterm_lets_open_streams_finish_and_refuses_new_ones(
    stage_server: StageServerFactory,
) -> None:
    """A Watch of its health ends with NOT_SERVING; its exit code is 0."""
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
