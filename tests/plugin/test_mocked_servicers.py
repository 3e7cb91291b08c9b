"""A mock of a servicer is served as what it stands for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any
from unittest import mock

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from pytest_pipeline import StageServerFactory
from tests.plugin.greeter import AioGreeter, Greeter, add_GreeterServicer_to_server

YOU = StringValue(value="you")


async def greet_aio(request: StringValue, _: Any) -> StringValue:
    """Greet one, as the side effect of a mock."""
    return StringValue(value=f"hello {request.value}")


async def greet_each_aio(request: StringValue, _: Any) -> AsyncIterator[StringValue]:
    """Greet each, as the side effect of a mock."""
    for name in request.value.split():
        yield StringValue(value=f"hello {name}")


def autospec_of_threads() -> Any:
    """Return a mock of a servicer for threads."""
    mocked = mock.create_autospec(Greeter)
    mocked.Greet.side_effect = lambda request, _: StringValue(
        value=f"hello {request.value}"
    )
    mocked.GreetEach.side_effect = lambda request, _: iter(
        StringValue(value=f"hello {name}") for name in request.value.split()
    )
    return mocked


def autospec_instance() -> Any:
    """Return a mock of an instance."""
    mocked = mock.create_autospec(Greeter, instance=True)
    mocked.Greet.side_effect = Greeter().Greet
    mocked.GreetEach.side_effect = Greeter().GreetEach
    return mocked


def autospec_of_asyncio() -> Any:
    """Return a mock of an asyncio servicer."""
    mocked = mock.create_autospec(AioGreeter)
    mocked.Greet.return_value = StringValue(value="hello you")
    mocked.GreetEach.side_effect = greet_each_aio
    return mocked


def autospec_with_asyncio_effects() -> Any:
    """Return a mock of the generated class, whose effects are coroutines."""
    mocked = mock.create_autospec(Greeter)
    mocked.Greet.side_effect = greet_aio
    mocked.GreetEach.side_effect = greet_each_aio
    return mocked


def asyncio_mock() -> Any:
    """Return a mock whose attributes are coroutine functions."""
    mocked = mock.AsyncMock()
    mocked.Greet.return_value = StringValue(value="hello you")
    mocked.GreetEach = greet_each_aio
    return mocked


def magic_mock() -> Any:
    """Return a mock without a specification."""
    mocked = mock.MagicMock()
    mocked.Greet.return_value = StringValue(value="hello you")
    mocked.GreetEach.side_effect = Greeter().GreetEach
    return mocked


def one_asyncio_mock() -> Any:
    """Return a servicer for threads with one mocked coroutine function."""
    greeter: Any = Greeter()
    greeter.Greet = mock.AsyncMock(return_value=StringValue(value="hello you"))
    return greeter


def wrapping_mock() -> Any:
    """Return a mock that spies on a real servicer."""
    return mock.MagicMock(wraps=AioGreeter())


@pytest.mark.parametrize(
    "make",
    [
        autospec_of_threads,
        autospec_instance,
        autospec_of_asyncio,
        autospec_with_asyncio_effects,
        asyncio_mock,
        magic_mock,
        one_asyncio_mock,
        wrapping_mock,
    ],
)
def test_a_mock_is_served_as_what_it_stands_for(
    stage_server: StageServerFactory, make: Callable[[], Any]
) -> None:
    """And it counts its calls."""
    mocked = make()
    server = stage_server(mocked, add_to_server=add_GreeterServicer_to_server)

    assert server.stub.Greet(YOU).value == "hello you"
    assert [each.value for each in server.stub.GreetEach(YOU)] == ["hello you"]
    assert mocked.Greet.call_count == 1 or make is wrapping_mock


@pytest.mark.parametrize("greeter", [Greeter, AioGreeter])
def test_a_method_that_is_patched_with_autospec_is_served(
    stage_server: StageServerFactory, greeter: type
) -> None:
    """Autospec makes a function, which `inspect` takes for no coroutine function."""
    with mock.patch.object(greeter, "Greet", autospec=True) as patched:
        patched.return_value = YOU
        server = stage_server(greeter(), add_to_server=add_GreeterServicer_to_server)

        assert server.stub.Greet(StringValue(value="me")) == YOU
        assert patched.call_count == 1
