"""The leak check does not report what is owned by the session."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from pytest_pipeline.servers.leaks import Owned, left_behind, open_channels, snapshot
from tests.servers.leaking import (
    address_of,
    call,
    ended_process,
    family,
    found_now,
    grpc_server,
    listening_socket,
    running_process,
    running_thread,
)


def test_an_owned_thread_is_not_reported() -> None:
    """One that is not owned is."""
    before = snapshot()
    with running_thread("mine") as mine, running_thread("other"):
        lines = found_now(before, Owned(threads=frozenset({mine})))

    assert lines == ["thread 'other' still runs"]


def test_a_new_thread_in_the_pool_of_an_owned_thread_is_not_reported() -> None:
    """The pool starts it later, when it has more work."""
    before = snapshot()
    barrier = threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        mine = pool.submit(threading.current_thread).result()
        both = [pool.submit(barrier.wait, 10) for _ in range(2)]
        assert sorted(future.result() for future in both) == [0, 1]

        assert left_behind(before, Owned(threads=frozenset({mine}))) == []


def test_an_owned_process_is_not_reported() -> None:
    """One that is not owned is."""
    before = snapshot()
    with running_process() as mine, running_process() as other:
        (line,) = found_now(before, Owned(processes=frozenset({mine.pid})))

    assert line.startswith(f"process {other.pid} ")


def test_the_child_of_an_owned_process_is_not_reported() -> None:
    """It is owned too."""
    before = snapshot()
    with family() as parent:
        assert left_behind(before, Owned(processes=frozenset({parent}))) == []


def test_an_owned_process_that_has_ended_is_not_reported() -> None:
    """Its owner will wait for it."""
    before = snapshot()
    with ended_process() as pid:
        assert left_behind(before, Owned(processes=frozenset({pid}))) == []


def test_an_owned_channel_is_not_reported() -> None:
    """A second channel to the same target is; the connections of neither are."""
    with grpc_server() as address:
        before = snapshot()
        with grpc.insecure_channel(address) as mine:
            call(mine)
            owned = Owned(channels=frozenset(set(open_channels()) - {*before.channels}))

            assert left_behind(before, owned) == []
            with grpc.insecure_channel(address):
                assert found_now(before, owned) == [f"channel to {address} is open"]


def test_an_owned_address_is_not_reported() -> None:
    """One that is not owned is."""
    before = snapshot()
    with listening_socket() as mine, listening_socket() as other:
        lines = found_now(before, Owned(addresses=frozenset({address_of(mine)})))

        assert lines == [f"socket {address_of(other)} is still listening"]


@pytest.mark.parametrize("address", ["unix:s", "unix:///s"])
def test_an_owned_unix_address_is_not_reported(
    address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """However the address is written."""
    monkeypatch.chdir(tmp_path)
    before = snapshot()
    with socket.socket(socket.AF_UNIX) as listener:
        path = tmp_path / "s" if "//" in address else Path("s")
        listener.bind(str(path))
        listener.listen()
        owned = Owned(addresses=frozenset({address.replace("/s", str(path))}))

        assert left_behind(before, owned) == []


def test_only_the_clients_end_of_a_connection_to_an_owned_server_is_reported() -> None:
    """The accepted end belongs to the owner of the server."""
    before = snapshot()
    with (
        listening_socket() as mine,
        socket.create_connection(mine.getsockname()) as client,
    ):
        connection, _ = mine.accept()
        with connection:
            assert found_now(
                before, Owned(addresses=frozenset({address_of(mine)}))
            ) == [
                f"connection {address_of(client)} to {address_of(mine)} is still open"
            ]
