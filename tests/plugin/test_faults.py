"""Faults in calls to a server, wherever it runs and whatever serves it."""

from __future__ import annotations

import asyncio
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from grpc_health.v1 import health_pb2, health_pb2_grpc
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pytest_pipeline import (
    Fault,
    FaultProxy,
    PipelineSettings,
    ProcessTarget,
    StageServerFactory,
    draw_fault,
    stage_fixture,
)
from pytest_pipeline.servers.faults.fault import KINDS
from pytest_pipeline.servers.handle import Server
from pytest_pipeline.servers.pool import ServerPool
from tests.plugin.greeter import (
    AioGreeter,
    Greeter,
    GreeterStub,
    add_GreeterServicer_to_server,
    name,
    serve,
)

kept = stage_fixture(Greeter(), add_to_server=add_GreeterServicer_to_server)


@pytest.fixture(
    scope="module",
    params=[
        ("inprocess", Greeter),
        ("inprocess", AioGreeter),
        ("subprocess", Greeter),
        ("subprocess", AioGreeter),
    ],
    ids=lambda it: f"{it[0]}-{it[1].__name__}",
)
def greeter(
    request: pytest.FixtureRequest,
    pipeline_servers: ServerPool,
    pipeline_settings: PipelineSettings,
) -> Iterator[Server]:
    """A greeter of each kind, which is brought back for each test."""
    servers, servicer = request.param
    with closing(StageServerFactory(pipeline_servers, pipeline_settings)) as factory:
        yield serve(factory, servicer(), servers=servers)


def chat(greeter: Server, *words: str) -> list[str]:
    """Return the greetings of one call through the proxy."""
    replies = greeter.faults.stub_for(GreeterStub).Chat(  # type: ignore[attr-defined]
        map(name, words), timeout=20
    )
    return [reply.value for reply in replies]


def status_of(call: Callable[..., Any], *arguments: Any) -> grpc.StatusCode:
    """Return the status that a call fails with."""
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments)
    code: grpc.StatusCode = caught.value.code()
    return code


def test_calls_pass_unchanged_without_a_fault(greeter: Server) -> None:
    """All four kinds of call give the replies of the server itself."""
    stub: Any = greeter.faults.stub_for(GreeterStub)

    assert stub.Greet(name("a")).value == "hello a"
    assert [each.value for each in stub.GreetEach(name("a b"))] == [
        "hello a",
        "hello b",
    ]
    assert stub.GreetAll(map(name, "ab")).value == "hello a and b"
    assert chat(greeter, "a", "b") == ["hello a", "hello b"]


def test_kill_ends_the_server_at_its_message(greeter: Server) -> None:
    """The call ends as UNAVAILABLE, and nobody answers then."""
    greeter.faults.kill(at=2)

    assert status_of(chat, greeter, "a", "b") is grpc.StatusCode.UNAVAILABLE
    assert greeter.health == "UNREACHABLE"


def test_pause_suspends_the_server_at_its_message(greeter: Server) -> None:
    """The second greeting comes only after the server was resumed."""
    greeter.faults.pause(at=2)
    stub: Any = greeter.faults.stub_for(GreeterStub)
    requests: queue.SimpleQueue[StringValue | None] = queue.SimpleQueue()
    replies = stub.Chat(iter(requests.get, None), timeout=20)

    requests.put(name("a"))
    assert next(replies).value == "hello a"
    requests.put(name("b"))
    requests.put(None)
    assert greeter.faults.wait_happened(1, timeout=20)
    assert greeter.health == "UNREACHABLE"
    greeter.resume()
    assert [each.value for each in replies] == ["hello b"]


def test_slow_holds_the_message_for_its_time(greeter: Server) -> None:
    """A call whose deadline is earlier fails with it."""
    greeter.faults.slow(at=1, seconds=30)
    stub: Any = greeter.faults.stub_for(GreeterStub)

    with pytest.raises(grpc.RpcError) as caught:
        stub.Greet(name("a"), timeout=0.2)

    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_dropped_call_fails_and_the_next_one_does_not(greeter: Server) -> None:
    """A fault happens once."""
    greeter.faults.drop_call(at=2)

    assert status_of(chat, greeter, "a", "b") is grpc.StatusCode.UNAVAILABLE
    assert chat(greeter, "a", "b") == ["hello a", "hello b"]


def test_a_dropped_connection_ends_other_calls_too(greeter: Server) -> None:
    """A health watch that is open ends with the call that has the fault."""
    proxy = greeter.faults
    health: Any = proxy.stub_for(health_pb2_grpc.HealthStub)
    watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=20)
    next(watch)
    proxy.drop_connection(at=1, method="Greet")
    stub: Any = proxy.stub_for(GreeterStub)

    assert status_of(stub.Greet, name("a")) is grpc.StatusCode.UNAVAILABLE
    assert status_of(next, watch) is grpc.StatusCode.UNAVAILABLE


def test_a_corrupted_reply_differs_and_the_others_do_not(greeter: Server) -> None:
    """One byte of the bytes on the wire is inverted."""
    proxy = greeter.faults
    proxy.corrupt(at=2, of="reply", seed=7)
    raw: Any = proxy.channel.stream_stream("/example.Greeter/Chat")
    requests = [name(word).SerializeToString() for word in "abc"]

    replies: list[bytes] = list(raw(iter(requests), timeout=20))

    wanted = [StringValue(value=f"hello {it}").SerializeToString() for it in "abc"]
    differing = [
        sum(a != b for a, b in zip(reply, want, strict=True))
        for reply, want in zip(replies, wanted, strict=True)
    ]
    assert differing == [0, 1, 0]


@pytest.mark.parametrize("of", ["request", "reply"])
def test_a_half_closed_stream_ends_early_without_an_error(
    greeter: Server, of: Any
) -> None:
    """What came before it arrives."""
    greeter.faults.half_close(at=2, of=of)

    assert chat(greeter, "a", "b", "c") == ["hello a"]


def test_refuse_ends_the_call_with_its_status(greeter: Server) -> None:
    """Replies before it arrive; a fault of another RPC does not happen."""
    greeter.faults.refuse("RESOURCE_EXHAUSTED", at=2, of="reply", method="Chat")
    stub: Any = greeter.faults.stub_for(GreeterStub)

    assert stub.Greet(name("a")).value == "hello a"
    assert status_of(chat, greeter, "a", "b") is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_an_asyncio_client_meets_the_same_fault(greeter: Server) -> None:
    """The proxy has an address for clients of any kind."""
    greeter.faults.refuse("ABORTED", method="Greet")

    async def greet() -> grpc.StatusCode:
        async with grpc.aio.insecure_channel(greeter.faults.address) as channel:
            try:
                await GreeterStub(channel).Greet(name("a"))  # type: ignore[attr-defined]
            except grpc.aio.AioRpcError as error:
                return error.code()
        return grpc.StatusCode.OK

    assert asyncio.run(greet()) is grpc.StatusCode.ABORTED


@pytest.mark.parametrize("again", [1, 2])
def test_a_kept_server_is_brought_back_without_faults(kept: Server, again: int) -> None:
    """The second test finds a live server and none of the faults of the first."""
    assert chat(kept, "a") == ["hello a"], again
    assert not kept.faults.happened
    kept.faults.kill(at=1)
    kept.faults.refuse("ABORTED", at=1)
    assert status_of(chat, kept, "a") is grpc.StatusCode.UNAVAILABLE


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_each_example_of_a_property_test_has_a_server_without_faults(
    kept: Server, seed: int
) -> None:
    """A fault that one example drew does not happen in the next one."""
    fault = kept.faults.add(
        draw_fault(seed, messages=2, kinds=["kill", "drop_call", "refuse"])
    )

    assert status_of(chat, kept, "a", "b") is grpc.StatusCode.UNAVAILABLE
    assert kept.faults.happened == [fault]


def test_the_tls_server_of_a_session_is_reached_through_the_proxy(
    stage_server: StageServerFactory,
) -> None:
    """The proxy has the credentials of the server's channels."""
    greeter = serve(stage_server, Greeter(), transport="tls")
    greeter.faults.drop_call(at=2)

    assert status_of(chat, greeter, "a", "b") is grpc.StatusCode.UNAVAILABLE
    assert chat(greeter, "a") == ["hello a"]


def test_a_process_is_suspended_and_killed_by_its_id() -> None:
    """A target needs nothing but the process, so it may be any program."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    target = ProcessTarget(process.pid)

    target.pause()
    stopped = os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    target.kill()
    process.communicate()

    assert stopped is not None
    assert stopped.si_code == os.CLD_STOPPED
    assert process.returncode == -signal.SIGKILL


def test_a_proxy_of_an_address_alone_refuses_to_kill() -> None:
    """It says what to give it."""
    with (
        FaultProxy("127.0.0.1:1") as proxy,
        pytest.raises(UsageError, match="needs a target; give a process"),
    ):
        proxy.kill(at=1)


def test_a_seed_draws_the_same_fault_again() -> None:
    """And all kinds are drawn by some seed."""
    drawn = [draw_fault(seed, messages=9) for seed in range(100)]

    assert drawn == [draw_fault(seed, messages=9) for seed in range(100)]
    assert {fault.kind for fault in drawn} == {*KINDS}
    assert {fault.at for fault in drawn} == {*range(1, 10)}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "explode", "at": 1}, "fault explode: use one of kill, pause"),
        ({"kind": "kill", "at": 0}, "fault kill at request 0: messages are counted"),
        ({"kind": "kill", "at": 1, "of": "x"}, "of must be request or reply"),
        ({"kind": "slow", "at": 1, "seconds": -1}, "seconds must be 0 or more"),
        ({"kind": "refuse", "at": 1, "status": "NO"}, "NO is no error status of gRPC"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(
    fields: dict[str, Any], message: str
) -> None:
    """The error names the fault and the value."""
    with pytest.raises(UsageError, match=message):
        Fault(**fields)


SEEDED_TEST = """
def test_seeded(fault_seed):
    assert not fault_seed, f"seed {fault_seed}"
"""


def test_a_failing_test_prints_the_option_that_repeats_its_seed(
    pytester: pytest.Pytester,
) -> None:
    """The option gives the test the same seed."""
    pytester.makepyfile(SEEDED_TEST)

    first = pytester.runpytest("-p", "no:randomly")
    (line,) = (it for it in first.outlines if it.startswith("repeat with "))
    option, seed = line.removeprefix("repeat with ").split()
    second = pytester.runpytest("-p", "no:randomly", option, seed)

    assert int(seed) > 0
    second.stdout.fnmatch_lines([f"*AssertionError: seed {seed}*", line])
