"""What a test has left behind, and what is not its to end."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from multiprocessing import resource_tracker
from pathlib import Path

import grpc
import pytest

from pytest_pipeline.servers import leaks
from pytest_pipeline.servers.leaks import (
    Owned,
    Snapshot,
    left_behind,
    open_channels,
    snapshot,
)

NOTHING = Owned()
# Nobody is asked to connect to it.
TARGET = "127.0.0.1:1"
PYTHON = Path(sys.executable).name


def found_now(before: Snapshot, owned: Owned = NOTHING) -> list[str]:
    """Say what is left, without any time for it to go away."""
    return left_behind(before, owned, timeout_s=0)


@contextmanager
def running_thread(name: str = "worker") -> Iterator[threading.Thread]:
    """Have a thread that runs."""
    go_on = threading.Event()
    thread = threading.Thread(target=go_on.wait, name=name)
    thread.start()
    try:
        yield thread
    finally:
        go_on.set()
        thread.join()


@contextmanager
def running_process(code: str = "input()") -> Iterator[subprocess.Popen[bytes]]:
    """Have a process that runs until its standard input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.communicate()


@contextmanager
def ended_process() -> Iterator[int]:
    """Have a process that has ended and was not waited for."""
    with running_process("") as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        yield process.pid


def listening_socket() -> socket.socket:
    """Return a socket that listens."""
    return socket.create_server(("127.0.0.1", 0))


def address_of(each: socket.socket) -> str:
    """Return where it is bound, as gRPC writes it."""
    host, port = each.getsockname()
    return f"{host}:{port}"


@contextmanager
def grpc_server() -> Iterator[str]:
    """Have a server that knows no method, and the address of it."""
    with ThreadPoolExecutor(2, thread_name_prefix="pool") as pool:
        server = grpc.server(pool)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()


def call(channel: grpc.Channel) -> None:
    """Make a call of a method that there is not, so that there is a connection."""
    method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
        "/Nobody/Nothing"
    )
    with pytest.raises(grpc.RpcError, match="UNIMPLEMENTED"):
        method(b"", timeout=10)


def test_nothing_is_left_where_nothing_was_made() -> None:
    """What there is, was there."""
    assert left_behind(snapshot(), NOTHING) == []


def test_nothing_is_left_where_all_was_ended() -> None:
    """A thread, a process, a socket, a server and a channel to it are gone."""
    before = snapshot()
    with (
        running_thread(),
        running_process(),
        listening_socket(),
        grpc_server() as address,
        grpc.insecure_channel(address) as channel,
    ):
        call(channel)

    assert left_behind(before, NOTHING) == []


def test_a_thread_is_left() -> None:
    """It is told by its name."""
    before = snapshot()
    with running_thread("reader of lines"):
        assert found_now(before) == ["thread 'reader of lines' still runs"]


def test_a_process_is_left() -> None:
    """It is told by its id and its command, without the folder of the program."""
    before = snapshot()
    with running_process() as process:
        assert found_now(before) == [
            f"process {process.pid} ({PYTHON} -c input()) still runs"
        ]


def test_a_long_command_is_cut() -> None:
    """A process is still told in a short line."""
    before = snapshot()
    with running_process(f"input()  # {'x' * 999}"):
        (line,) = found_now(before)

    assert line.endswith("xxx…) still runs")
    assert len(line) < 120


def test_what_a_process_has_started_is_left_too() -> None:
    """Each of them is a line of its own."""
    before = snapshot()
    with family() as parent:
        lines = found_now(before)

    assert len(lines) == 2
    assert any(line.startswith(f"process {parent} ") for line in lines)
    assert any(line.endswith(f"({PYTHON} -c input()) still runs") for line in lines)


@contextmanager
def family() -> Iterator[int]:
    """Have a process that has started another."""
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'input()'])\n"
        "print('started', flush=True)\n"
        "child.wait()"
    )
    with running_process(code) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        yield process.pid


def test_a_process_that_nobody_has_waited_for_is_left() -> None:
    """It has ended, but its entry in the table of processes is still there."""
    before = snapshot()
    with ended_process() as pid:
        (line,) = found_now(before)

    assert re.fullmatch(
        rf"process {pid} \(.+\) has ended, but nobody has waited for it", line
    )


def test_a_channel_without_a_connection_is_left() -> None:
    """To open one is enough."""
    before = snapshot()
    with grpc.insecure_channel(TARGET):
        assert found_now(before) == [f"channel to {TARGET} is open"]


def test_a_channel_with_a_connection_is_left() -> None:
    """Both ends of the connection, and the threads of gRPC, are its own."""
    with grpc_server() as address:
        before = snapshot()
        with grpc.insecure_channel(address) as channel:
            call(channel)

            assert found_now(before) == [f"channel to {address} is open"]


def test_a_channel_that_is_watched_is_left() -> None:
    """The thread that watches it is not told beside it."""
    states: list[grpc.ChannelConnectivity] = []
    before = snapshot()
    with grpc.insecure_channel(TARGET) as channel:
        channel.subscribe(states.append)
        threads = snapshot().threads - before.threads
        lines = found_now(before)
        # The one that watches must not find the channel closed.
        channel.unsubscribe(states.append)
        for thread in threads:
            thread.join()

    assert threads
    assert lines == [f"channel to {TARGET} is open"]


def test_a_channel_of_asyncio_is_left() -> None:
    """The thread of grpc.aio and its socket pair are not told beside it."""

    async def leave() -> list[str]:
        before = snapshot()
        async with grpc.aio.insecure_channel(TARGET):
            return found_now(before)

    assert asyncio.run(leave()) == [f"channel to {TARGET} is open"]


def test_a_channel_of_asyncio_that_was_closed_is_not_left() -> None:
    """Nor is what grpc.aio keeps for the next one."""
    before = snapshot()

    async def open_and_close() -> None:
        async with grpc.aio.insecure_channel(TARGET):
            pass

    asyncio.run(open_and_close())

    assert left_behind(before, NOTHING) == []


def test_a_server_is_left() -> None:
    """It is told by where it listens, its threads and connections are not."""
    before = snapshot()
    with grpc_server() as address:
        assert found_now(before) == [f"socket {address} is still listening"]


def test_a_listening_socket_is_left() -> None:
    """It is told by its address."""
    before = snapshot()
    with listening_socket() as listener:
        assert found_now(before) == [
            f"socket {address_of(listener)} is still listening"
        ]


def test_a_listening_unix_socket_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told by the path that it was bound to."""
    monkeypatch.chdir(tmp_path)
    before = snapshot()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        listener.listen()

        assert found_now(before) == ["socket unix:s is still listening"]


def test_a_connection_is_left() -> None:
    """It is told once, though both of its ends are in this process."""
    with listening_socket() as listener:
        before = snapshot()
        with socket.create_connection(listener.getsockname()) as client:
            connection, _ = listener.accept()
            with connection:
                ends = f"{address_of(client)} to {address_of(listener)}"

                assert found_now(before) == [f"connection {ends} is still open"]


def test_an_event_loop_is_left() -> None:
    """It is told by its socket pair."""
    before = snapshot()
    with closing(asyncio.new_event_loop()):
        assert found_now(before) == [
            "socket pair (of an event loop that was not closed?) is still open"
        ]


def test_each_thing_is_left_in_a_line_of_its_own() -> None:
    """What one explains does not hide what it does not."""
    before = snapshot()
    with (
        grpc.insecure_channel(TARGET),
        running_process() as process,
        running_thread(),
        listening_socket() as listener,
    ):
        assert found_now(before) == [
            f"channel to {TARGET} is open",
            f"process {process.pid} ({PYTHON} -c input()) still runs",
            "thread 'worker' still runs",
            f"socket {address_of(listener)} is still listening",
        ]


def test_an_owned_thread_is_not_told() -> None:
    """Another one is."""
    before = snapshot()
    with running_thread("mine") as mine, running_thread("other"):
        lines = found_now(before, Owned(threads=frozenset({mine})))

    assert lines == ["thread 'other' still runs"]


def test_the_pool_of_an_owned_thread_may_grow() -> None:
    """A thread that it starts later is owned as well."""
    before = snapshot()
    barrier = threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        mine = pool.submit(threading.current_thread).result()
        both = [pool.submit(barrier.wait, 10) for _ in range(2)]
        assert sorted(future.result() for future in both) == [0, 1]

        assert left_behind(before, Owned(threads=frozenset({mine}))) == []


def test_an_owned_process_is_not_told() -> None:
    """Another one is."""
    before = snapshot()
    with running_process() as mine, running_process() as other:
        (line,) = found_now(before, Owned(processes=frozenset({mine.pid})))

    assert line.startswith(f"process {other.pid} ")


def test_what_an_owned_process_has_started_is_not_told() -> None:
    """It is owned as well."""
    before = snapshot()
    with family() as parent:
        assert left_behind(before, Owned(processes=frozenset({parent}))) == []


def test_an_owned_process_that_has_ended_is_not_told() -> None:
    """Its owner will wait for it."""
    before = snapshot()
    with ended_process() as pid:
        assert left_behind(before, Owned(processes=frozenset({pid}))) == []


def test_an_owned_channel_is_not_told() -> None:
    """Another one to the same target is, and their connections are not."""
    with grpc_server() as address:
        before = snapshot()
        with grpc.insecure_channel(address) as mine:
            call(mine)
            owned = Owned(channels=frozenset(set(open_channels()) - {*before.channels}))

            assert left_behind(before, owned) == []
            with grpc.insecure_channel(address):
                assert found_now(before, owned) == [f"channel to {address} is open"]


def test_an_owned_address_is_not_told() -> None:
    """Another one is."""
    before = snapshot()
    with listening_socket() as mine, listening_socket() as other:
        lines = found_now(before, Owned(addresses=frozenset({address_of(mine)})))

        assert lines == [f"socket {address_of(other)} is still listening"]


@pytest.mark.parametrize("address", ["unix:s", "unix:///s"])
def test_an_owned_unix_address_is_not_told(
    address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whichever way it is written."""
    monkeypatch.chdir(tmp_path)
    before = snapshot()
    with socket.socket(socket.AF_UNIX) as listener:
        path = tmp_path / "s" if "//" in address else Path("s")
        listener.bind(str(path))
        listener.listen()
        owned = Owned(addresses=frozenset({address.replace("/s", str(path))}))

        assert left_behind(before, owned) == []


def test_a_connection_to_an_owned_server_is_accepted_by_its_owner() -> None:
    """The test has the end that has connected."""
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


def test_what_goes_away_in_time_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that is there at the first look and ends then."""
    before = snapshot()
    go_on = threading.Event()
    looks: list[Snapshot] = []

    def look() -> Snapshot:
        looks.append(snapshot())
        go_on.set()
        return looks[-1]

    monkeypatch.setattr(leaks, "snapshot", look)
    thread = threading.Thread(target=go_on.wait)
    thread.start()

    assert left_behind(before, NOTHING, timeout_s=60) == []
    assert thread in looks[0].threads
    thread.join()


def test_what_nobody_can_reach_is_not_told() -> None:
    """A channel in a cycle of references goes as soon as that is looked for."""
    before = snapshot()
    cycle: list[object] = [grpc.insecure_channel(TARGET)]
    cycle.append(cycle)
    del cycle

    assert left_behind(before, NOTHING) == []


def test_what_was_there_before_is_not_told() -> None:
    """Of any kind."""
    with ExitStack() as stack:
        stack.enter_context(running_thread())
        stack.enter_context(running_process())
        stack.enter_context(ended_process())
        stack.enter_context(grpc.insecure_channel(TARGET))
        stack.enter_context(listening_socket())
        stack.enter_context(closing(asyncio.new_event_loop()))

        assert left_behind(snapshot(), NOTHING) == []


def test_the_resource_tracker_of_multiprocessing_is_not_told() -> None:
    """It is a process that lives as long as the interpreter."""
    before = snapshot()
    tracker = resource_tracker.ResourceTracker()
    tracker.ensure_running()
    try:
        assert len(snapshot().processes - before.processes) == 1
        assert left_behind(before, NOTHING) == []
    finally:
        stop_tracker(tracker)


def stop_tracker(tracker: resource_tracker.ResourceTracker) -> None:
    """End it and wait for it."""
    tracker._stop()  # type: ignore[attr-defined]  # noqa: SLF001
