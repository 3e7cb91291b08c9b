"""A factory in place of a servicer gives each test a fresh one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pytest_pipeline import StageServerFactory, stage_fixture
from pytest_pipeline.servers.handle import Server
from tests.plugin.greeter import (
    AioGreeter,
    Greeter,
    GreeterStub,
    add_GreeterServicer_to_server,
    serve,
)

YOU = StringValue(value="you")


class Counting(Greeter):
    """Counts its calls: the state that a test must not leave to the next."""

    def __init__(self) -> None:
        self.calls = 0

    def Greet(self, request: StringValue, _: Any) -> StringValue:  # noqa: ARG002, N802
        """Return the number of the call."""
        self.calls += 1
        return StringValue(value=str(self.calls))


class AioCounting(AioGreeter):
    """Counts its calls in asyncio."""

    calls = 0

    async def Greet(self, request: StringValue, _: Any) -> StringValue:  # noqa: ARG002, N802
        """Return the number of the call."""
        self.calls += 1
        return StringValue(value=str(self.calls))


def make_aio_counting() -> AioCounting:
    """Make a servicer."""
    return AioCounting()


ADD: dict[str, Any] = {"add_to_server": add_GreeterServicer_to_server}
counting = stage_fixture(Counting, **ADD)
aio_counting = stage_fixture(make_aio_counting, **ADD)
process_counting = stage_fixture(Counting, servers="subprocess", **ADD)
shared_counting = stage_fixture(Counting(), **ADD)


@pytest.fixture(scope="session")
def own_stub(counting: Server) -> Iterator[Any]:
    """A client that the plugin knows nothing of."""
    with grpc.insecure_channel(counting.address) as channel:
        yield GreeterStub(channel)


@pytest.mark.parametrize("test", ["first", "second", "third"])
def test_each_test_has_a_fresh_servicer(
    counting: Server, aio_counting: Server, own_stub: Any, test: str
) -> None:
    """Also those that call it through a client of their own."""
    assert own_stub.Greet(YOU, wait_for_ready=True, timeout=10).value == "1"
    if test != "second":
        assert counting.stub.Greet(YOU).value == "2"
    assert [aio_counting.stub.Greet(YOU).value for _ in range(2)] == ["1", "2"]


@pytest.mark.parametrize("test", ["first", "second"])
def test_each_test_has_a_fresh_servicer_in_a_process(
    process_counting: Server, test: str
) -> None:
    """The process is a new one."""
    assert process_counting.stub.Greet(YOU).value == "1", test


def test_a_restart_makes_a_fresh_servicer(counting: Server) -> None:
    """As a process that is started again has no memory either."""
    counting.stub.Greet(YOU)
    counting.restart()

    assert counting.stub.Greet(YOU).value == "1"


@given(st.integers(1, 3))
@settings(max_examples=4)
def test_each_example_of_a_property_has_a_fresh_servicer(
    counting: Server, calls: int
) -> None:
    """Otherwise a failing example could not be repeated."""
    assert [counting.stub.Greet(YOU).value for _ in range(calls)] == [
        str(number + 1) for number in range(calls)
    ]


def test_an_instance_is_kept(shared_counting: Server) -> None:
    """Whoever gives an instance may look into it; a restart keeps it too."""
    shared_counting.stub.Greet(YOU)
    shared_counting.restart()

    assert shared_counting.stub.Greet(YOU).value == "2"


def test_two_servers_of_one_class_share_nothing(
    stage_server: StageServerFactory,
) -> None:
    """Each has a servicer of its own."""
    first, second = serve(stage_server, Counting), serve(stage_server, Counting)

    assert first.stub.Greet(YOU).value == second.stub.Greet(YOU).value == "1"


def test_a_factory_that_needs_arguments_is_refused(
    stage_server: StageServerFactory,
) -> None:
    """The line names the argument."""

    class Named(Greeter):
        def __init__(self, name: str) -> None:
            self.name = name

    with pytest.raises(
        UsageError, match=r"stage_server\(Named\): .*'name'.*; give an instance"
    ):
        serve(stage_server, Named)


def test_an_asynchronous_factory_is_refused(stage_server: StageServerFactory) -> None:
    """What it returns is no servicer."""

    async def make() -> Greeter:
        return Greeter()

    with pytest.raises(UsageError, match=r"stage_server\(make\): is a coroutine funct"):
        serve(stage_server, make)


def test_what_a_factory_raises_reaches_the_test(
    stage_server: StageServerFactory,
) -> None:
    """It is the user's own exception, with its traceback."""

    def make() -> Greeter:
        raise LookupError("no database")

    with pytest.raises(LookupError, match="no database"):
        serve(stage_server, make)
