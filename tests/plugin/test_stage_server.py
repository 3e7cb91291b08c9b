"""`stage_server` and the handle of a server, for anything that speaks gRPC."""

from __future__ import annotations

import asyncio
import importlib
import os
import queue
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import StageError, UsageError
from pipeline.stages import Output, stage
from pipeline.transport.wire import pack, unpack
from pipeline.v1.events_pb2 import Events
from pipeline.v1.lines_pb2 import Lines
from pipeline.v1.pipeline_pb2 import Batch
from pytest_pipeline import StageServerFactory, stage_fixture
from pytest_pipeline.options import Hosting, Transport
from pytest_pipeline.servers.handle import Server
from tests.plugin.greeter import (
    AioGreeter,
    Greeter,
    GreeterStub,
    add_GreeterServicer_to_server,
)

GOOD = b'{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":11}\n'

greeter = stage_fixture(Greeter(), add_to_server=add_GreeterServicer_to_server)


def names(*words: str) -> list[StringValue]:
    """Return requests."""
    return [StringValue(value=word) for word in words]


def lines_batch() -> Batch:
    """Return a batch of one event."""
    batch = Batch(number=0, records=1)
    pack(Lines(first_record=1, text=GOOD), into=batch.payload)
    return batch


def serve_greeter(factory: StageServerFactory, **settings: Any) -> Server:
    """Start a thread-based greeter."""
    return factory(Greeter(), add_to_server=add_GreeterServicer_to_server, **settings)


@pytest.mark.parametrize("transport", ["unix", "tcp", "tls", "mtls"])
@pytest.mark.parametrize("servers", ["inprocess", "subprocess"])
@pytest.mark.parametrize("servicer", [Greeter(), AioGreeter()], ids=["threads", "aio"])
def test_all_four_kinds_of_call_work(
    stage_server: StageServerFactory,
    servicer: object,
    servers: Hosting,
    transport: Transport,
) -> None:
    """With each kind of servicer, hosting and transport."""
    server = stage_server(
        servicer,
        add_to_server=add_GreeterServicer_to_server,
        servers=servers,
        transport=transport,
    )
    stub = server.stub

    assert stub.Greet(StringValue(value="you")).value == "hello you"
    assert [each.value for each in stub.GreetEach(StringValue(value="a b"))] == [
        "hello a",
        "hello b",
    ]
    assert stub.GreetAll(iter(names("a", "b"))).value == "hello a and b"
    assert [each.value for each in stub.Chat(iter(names("a", "b")))] == [
        "hello a",
        "hello b",
    ]
    assert server.health == "SERVING"
    assert "greeting you" in server.logs
    assert (server.pid == os.getpid()) is (servers == "inprocess")
    assert (server.memory or 0) > 1024 * 1024


@pytest.mark.parametrize("servicer", [Greeter(), AioGreeter()], ids=["threads", "aio"])
def test_a_server_can_be_called_from_asyncio(
    stage_server: StageServerFactory, servicer: object
) -> None:
    """On a channel that is made in the event loop."""
    server = stage_server(servicer, add_to_server=add_GreeterServicer_to_server)

    async def greet() -> str:
        async with server.aio_channel() as channel:
            stub: Any = GreeterStub(channel)
            reply = await stub.Greet(StringValue(value="you"))
            return str(reply.value)

    assert asyncio.run(greet()) == "hello you"


@pytest.mark.parametrize("servers", ["inprocess", "subprocess"])
@pytest.mark.parametrize("servicer", [Greeter(), AioGreeter()], ids=["threads", "aio"])
def test_a_paused_server_answers_when_it_is_resumed(
    stage_server: StageServerFactory, servicer: object, servers: Hosting
) -> None:
    """It answers nothing before; then it answers what was sent meanwhile."""
    server = stage_server(
        servicer, add_to_server=add_GreeterServicer_to_server, servers=servers
    )
    server.pause()
    answer = server.stub.Greet.future(StringValue(value="you"))
    with pytest.raises(grpc.RpcError) as refused:
        server.stub.Greet(StringValue(value="me"), timeout=0.1)
    assert refused.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert not answer.done()

    server.resume()

    assert answer.result().value == "hello you"


@pytest.mark.parametrize("servers", ["inprocess", "subprocess"])
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_server_that_was_ended_can_be_restarted(
    stage_server: StageServerFactory, servers: Hosting, how: str
) -> None:
    """It does not answer until then, and keeps its address."""
    server = serve_greeter(stage_server, servers=servers)
    address = server.address

    getattr(server, how)()
    assert server.ending
    with pytest.raises(grpc.RpcError):
        server.stub.Greet(StringValue(value="you"))
    server.restart()

    assert server.address == address
    assert server.stub.Greet(StringValue(value="you")).value == "hello you"


@pytest.mark.parametrize("servers", ["inprocess", "subprocess"])
def test_a_server_that_was_paused_after_its_end_can_be_restarted(
    stage_server: StageServerFactory, servers: Hosting
) -> None:
    """The pause had nothing to suspend and does not hold the new server."""
    server = serve_greeter(stage_server, servers=servers, start_timeout=5)
    server.kill()
    server.pause()

    server.restart()

    assert server.health == "SERVING"


@pytest.mark.parametrize("servers", ["inprocess", "subprocess"])
def test_an_open_call_may_finish_while_the_server_stops(
    stage_server: StageServerFactory, servers: Hosting
) -> None:
    """The server ends with it, before it would be ended by force."""
    server = serve_greeter(stage_server, servers=servers)
    requests: queue.SimpleQueue[StringValue] = queue.SimpleQueue()
    requests.put(StringValue(value="a"))
    answers = server.stub.Chat(iter(requests.get, StringValue()))
    assert next(answers).value == "hello a"

    with ThreadPoolExecutor() as threads:
        stopping = threads.submit(server.stop)
        requests.put(StringValue(value="b"))
        assert next(answers).value == "hello b"
        requests.put(StringValue())
        assert list(answers) == []
        stopping.result()

    assert server.ending in {"stopped", "ended with exit code 0"}


def test_a_stage_is_started_by_its_name(stage_server: StageServerFactory) -> None:
    """It is a stage of the test's workload, and has the stub of its service."""
    (reply,) = stage_server("parse").stub.Process(iter([lines_batch()]))

    assert list(unpack(reply.payload, Events).value) == [11]


def test_a_stage_function_is_served(
    stage_server: StageServerFactory,
) -> None:
    """The decorator `stage` is enough; it needs no servicer."""

    @stage
    def shout(lines: Lines) -> Output[Lines]:
        return Output(Lines(text=lines.text.upper()), records=1)

    (reply,) = stage_server(shout).stub.Process(iter([lines_batch()]))

    assert unpack(reply.payload, Lines).text == GOOD.upper()


def test_a_command_is_started_and_prints_its_address(
    stage_server: StageServerFactory,
) -> None:
    """It is text or words, and prints one line of JSON with the address."""
    words = [sys.executable, "-m", "pipeline", "serve", "rules"]

    assert stage_server(words, name="mine").health == "SERVING"
    assert stage_server(" ".join(words)).health == "SERVING"


def test_an_external_server_is_used_and_left_running(
    stage_server: StageServerFactory,
) -> None:
    """It can be called, but neither killed nor paused."""
    running = serve_greeter(stage_server, transport="tcp")
    server = stage_server(running.address, stub=GreeterStub)

    assert server.stub.Greet(StringValue(value="you")).value == "hello you"
    assert server.pid is None
    for forbidden in (server.kill, server.pause):
        with pytest.raises(UsageError, match="somebody else has started"):
            forbidden()
    server.stop()
    assert running.health == "SERVING"


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ("pares", UsageError, "stage 'pares': workload events has ingest, parse"),
        ("no/such/program x", StageError, "program can't be started: there is no file"),
        (["true"], StageError, "true did not start: ended with exit code 0"),
        (["echo", "hi"], StageError, "echo did not start: it printed b'hi"),
        (Greeter(), UsageError, "add_to_server=add_GreeterServicer_to_server"),
        (Greeter, UsageError, "add_GreeterServicer_to_server"),
    ],
)
def test_what_can_not_be_served_is_refused(
    stage_server: StageServerFactory, what: object, error: type[Exception], message: str
) -> None:
    """The error names it and says what to do."""
    with pytest.raises(error, match=message):
        stage_server(what)


def test_a_servicer_of_a_local_class_can_not_be_a_subprocess(
    stage_server: StageServerFactory,
) -> None:
    """The error says where the class must be defined."""

    class Local(Greeter):
        pass

    with pytest.raises(UsageError, match="define it at the top of a module"):
        stage_server(
            Local(), add_to_server=add_GreeterServicer_to_server, servers="subprocess"
        )


def test_an_address_without_a_server_fails_in_time(
    stage_server: StageServerFactory, tmp_path: Path
) -> None:
    """After the start timeout."""
    with pytest.raises(StageError, match=r"not ready within 0\.2 s.*start-timeout"):
        stage_server(f"unix:{tmp_path}/nobody", start_timeout=0.2)


def test_servers_get_different_addresses(stage_server: StageServerFactory) -> None:
    """Over unix sockets and over TCP."""
    servers = [
        serve_greeter(stage_server, transport=transport)
        for transport in ("unix", "tcp")
        for _ in range(3)
    ]

    assert len({server.address for server in servers}) == 6


def test_a_stage_fixture_is_a_live_server(greeter: Server) -> None:
    """It is killed here; the next test must find it up."""
    assert greeter.stub.Greet(StringValue(value="you")).value == "hello you"
    greeter.kill()


def test_the_next_test_finds_its_server_up(greeter: Server) -> None:
    """Though the test before killed it; its log starts empty."""
    assert greeter.health == "SERVING"
    assert "greeting" not in greeter.logs


@given(st.booleans())
@settings(max_examples=6)
def test_each_example_of_a_property_finds_its_server_up(
    greeter: Server, kill: bool
) -> None:
    """Though the example before killed or paused it."""
    assert greeter.stub.Greet(StringValue(value="you")).value == "hello you"
    if kill:
        greeter.kill()
    else:
        greeter.pause()


@given(st.sampled_from(["stop", "kill"]))
@settings(max_examples=4)
def test_a_server_ended_first_in_an_example_stays_down(
    greeter: Server, how: str
) -> None:
    """Later uses in the same example do not bring it back."""
    getattr(greeter, how)()

    assert greeter.health == "UNREACHABLE"
    assert greeter.ending


@given(st.booleans())
@settings(max_examples=4)
def test_resuming_a_server_finds_it_up(greeter: Server, resume: bool) -> None:
    """Though the example before killed it."""
    if resume:
        greeter.resume()
        assert not greeter.ending
    greeter.kill()


@given(st.sampled_from(["stop", "kill"]))
@settings(max_examples=4)
def test_a_server_ended_by_another_thread_stays_down(greeter: Server, how: str) -> None:
    """If the example has used it before; a thread belongs to no example."""
    assert greeter.health == "SERVING"
    with ThreadPoolExecutor() as threads:
        threads.submit(greeter.restart).result()
        threads.submit(getattr(greeter, how)).result()

    assert greeter.health == "UNREACHABLE"
    assert greeter.ending


def test_the_exit_status_of_a_dead_process_is_known(
    stage_server: StageServerFactory,
) -> None:
    """It also counts as died, since nothing asked it to end."""
    server = stage_server("parse", servers="subprocess")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)

    assert server.died
    assert server.ending == "ended by SIGKILL"
    server.restart()
    assert server.health == "SERVING"


LOUD_SERVICER = """
import os
from tests.plugin.greeter import Greeter

print("imported", "-" * 70_000)


class Loud(Greeter):
    def Greet(self, request, context):
        print("greeting", "-" * 70_000)
        os.system("echo by a shell")
        return super().Greet(request, context)
"""


def test_a_servicer_in_a_process_may_print_as_much_as_it_likes(
    stage_server: StageServerFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it is imported; all of it is in the server's log."""
    (tmp_path / "loud_servicer.py").write_text(LOUD_SERVICER)
    monkeypatch.syspath_prepend(tmp_path)
    servicer = importlib.import_module("loud_servicer").Loud()
    server = stage_server(
        servicer, add_to_server=add_GreeterServicer_to_server, servers="subprocess"
    )

    assert server.stub.Greet(StringValue(value="you")).value == "hello you"
    for text in ("imported ---", "greeting ---", "by a shell\n"):
        assert text in server.logs
