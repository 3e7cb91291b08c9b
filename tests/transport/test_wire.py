"""Which channels use a proxy, and what is said of it."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.errors import StageError
from pipeline.transport import wire
from pipeline.transport.grpcio import GrpcChannel
from pipeline.transport.health import check_health

NO_PROXY = ("grpc.enable_http_proxy", 0)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a proxy at which nobody listens."""
    for name in ("grpc_proxy", "https_proxy", "no_grpc_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://user:secret@127.0.0.1:9")


@pytest.mark.parametrize(
    "address",
    [
        "unix:/tmp/x.sock",
        "unix-abstract:x",
        "127.0.0.1:1",
        "127.1.2.3:1",
        "localhost:1",
        "LocalHost:1",
        "[::1]:1",
        "0.0.0.0:1",
        "dns:///localhost:1",
        "ipv4:127.0.0.1:1",
        "ipv6:[::1]:1",
    ],
)
def test_this_machine_is_reached_without_a_proxy(address: str) -> None:
    """However its address is written."""
    assert NO_PROXY in wire.channel_options(address)
    assert not wire.proxy_hint(address)


@pytest.mark.parametrize("address", ["10.0.0.7:1", "stage.example:1", "1270.0.0.1.x:1"])
def test_another_machine_may_need_the_proxy(address: str) -> None:
    """A failure names the variable, and not its value, which may have a password."""
    assert NO_PROXY not in wire.channel_options(address)
    assert "the variable http_proxy sends the call" in wire.proxy_hint(address)
    assert "secret" not in wire.proxy_hint(address)


def test_the_variable_that_grpc_reads_first_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That is its own, before those of all programs."""
    monkeypatch.setenv("grpc_proxy", "http://127.0.0.1:9")

    assert "the variable grpc_proxy" in wire.proxy_hint("stage.example:1")


@pytest.mark.parametrize("name", ["no_proxy", "no_grpc_proxy"])
def test_nothing_is_said_of_a_proxy_that_is_not_used(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Since the host is excepted, or since there is none."""
    monkeypatch.setenv(name, "other, .example")
    assert not wire.proxy_hint("stage.example:1")
    assert wire.proxy_hint("stage.test:1")

    monkeypatch.delenv("http_proxy")
    assert not wire.proxy_hint("stage.test:1")


def test_a_check_that_fails_by_a_proxy_says_so() -> None:
    """The proxy is asked for the remote address, and refuses."""
    address = "stage.invalid:1"

    async def check() -> None:
        await check_health("parse", address, GrpcChannel(address))

    with pytest.raises(StageError, match=r"nobody answers .*variable http_proxy"):
        asyncio.run(check())
