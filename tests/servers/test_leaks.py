"""The leak check reports what was created since a snapshot and still exists."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from contextlib import ExitStack, closing
from multiprocessing import resource_tracker
from pathlib import Path

import grpc
import pytest

from pytest_pipeline.servers import leaks
from pytest_pipeline.servers.leaks import Snapshot, left_behind, snapshot
from tests.servers.leaking import (
    NOTHING,
    PYTHON,
    TARGET,
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


def test_nothing_is_reported_if_nothing_was_created() -> None:
    """Everything was there before."""
    assert left_behind(snapshot(), NOTHING) == []


def test_what_the_test_has_ended_is_not_reported() -> None:
    """A thread, a process, a socket, a server and a channel to the server."""
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


def test_a_thread_is_reported() -> None:
    """By its name."""
    before = snapshot()
    with running_thread("reader of lines"):
        assert found_now(before) == ["thread 'reader of lines' still runs"]


def test_a_process_is_reported() -> None:
    """By its id and its command, without the folder of the program."""
    before = snapshot()
    with running_process() as process:
        assert found_now(before) == [
            f"process {process.pid} ({PYTHON} -c input()) still runs"
        ]


def test_a_long_command_is_cut() -> None:
    """The line of a process stays short."""
    before = snapshot()
    with running_process(f"input()  # {'x' * 999}"):
        (line,) = found_now(before)

    assert line.endswith("xxx…) still runs")
    assert len(line) < 120


def test_the_child_of_a_process_is_reported_too() -> None:
    """In a line of its own."""
    before = snapshot()
    with family() as parent:
        lines = found_now(before)

    assert len(lines) == 2
    assert any(line.startswith(f"process {parent} ") for line in lines)
    assert any(line.endswith(f"({PYTHON} -c input()) still runs") for line in lines)


def test_a_zombie_process_is_reported() -> None:
    """It has ended, and nothing has waited for it."""
    before = snapshot()
    with ended_process() as pid:
        (line,) = found_now(before)

    assert re.fullmatch(
        rf"process {pid} \(.+\) has ended, but nobody has waited for it", line
    )


def test_a_channel_without_a_connection_is_reported() -> None:
    """Opening one is enough."""
    before = snapshot()
    with grpc.insecure_channel(TARGET):
        assert found_now(before) == [f"channel to {TARGET} is open"]


def test_a_channel_with_a_connection_is_reported_once() -> None:
    """Its line stands for both ends of the connection and for the threads of gRPC."""
    with grpc_server() as address:
        before = snapshot()
        with grpc.insecure_channel(address) as channel:
            call(channel)

            assert found_now(before) == [f"channel to {address} is open"]


def test_a_channel_with_a_subscriber_is_reported_once() -> None:
    """Its line stands for the thread that watches its state."""
    states: list[grpc.ChannelConnectivity] = []
    before = snapshot()
    with grpc.insecure_channel(TARGET) as channel:
        channel.subscribe(states.append)
        threads = snapshot().threads - before.threads
        lines = found_now(before)
        # The watching thread must not find the channel closed.
        channel.unsubscribe(states.append)
        for thread in threads:
            thread.join()

    assert threads
    assert lines == [f"channel to {TARGET} is open"]


def test_an_asyncio_channel_is_reported_once() -> None:
    """Its line stands for the thread and the socket pair of grpc.aio."""

    async def leave() -> list[str]:
        before = snapshot()
        async with grpc.aio.insecure_channel(TARGET):
            return found_now(before)

    assert asyncio.run(leave()) == [f"channel to {TARGET} is open"]


def test_a_closed_asyncio_channel_is_not_reported() -> None:
    """Nor is what grpc.aio keeps for the next channel."""
    before = snapshot()

    async def open_and_close() -> None:
        async with grpc.aio.insecure_channel(TARGET):
            pass

    asyncio.run(open_and_close())

    assert left_behind(before, NOTHING) == []


def test_a_server_is_reported_once() -> None:
    """By its address; the line stands for its threads and connections."""
    before = snapshot()
    with grpc_server() as address:
        assert found_now(before) == [f"socket {address} is still listening"]


def test_a_listening_socket_is_reported() -> None:
    """By its address."""
    before = snapshot()
    with listening_socket() as listener:
        assert found_now(before) == [
            f"socket {address_of(listener)} is still listening"
        ]


def test_a_listening_unix_socket_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the path that it is bound to."""
    monkeypatch.chdir(tmp_path)
    before = snapshot()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        listener.listen()

        assert found_now(before) == ["socket unix:s is still listening"]


def test_a_connection_is_reported_once() -> None:
    """Though both of its ends are in this process."""
    with listening_socket() as listener:
        before = snapshot()
        with socket.create_connection(listener.getsockname()) as client:
            connection, _ = listener.accept()
            with connection:
                ends = f"{address_of(client)} to {address_of(listener)}"

                assert found_now(before) == [f"connection {ends} is still open"]


def test_an_event_loop_is_reported() -> None:
    """By its socket pair."""
    before = snapshot()
    with closing(asyncio.new_event_loop()):
        assert found_now(before) == [
            "socket pair (of an event loop that was not closed?) is still open"
        ]


def test_unrelated_leaks_are_reported_in_a_line_each() -> None:
    """A channel explains its own threads and sockets and no others."""
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


def test_a_thread_that_ends_in_time_is_not_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It runs at the first look and ends after it."""
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


def test_an_unreachable_channel_is_not_reported() -> None:
    """Garbage collection ends a channel in a reference cycle."""
    before = snapshot()
    cycle: list[object] = [grpc.insecure_channel(TARGET)]
    cycle.append(cycle)
    del cycle

    assert left_behind(before, NOTHING) == []


def test_what_was_there_before_is_not_reported() -> None:
    """A thread, processes, a channel, a socket and an event loop."""
    with ExitStack() as stack:
        stack.enter_context(running_thread())
        stack.enter_context(running_process())
        stack.enter_context(ended_process())
        stack.enter_context(grpc.insecure_channel(TARGET))
        stack.enter_context(listening_socket())
        stack.enter_context(closing(asyncio.new_event_loop()))

        assert left_behind(snapshot(), NOTHING) == []


def test_the_resource_tracker_of_multiprocessing_is_not_reported() -> None:
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
    """End a tracker and wait for it."""
    tracker._stop()  # type: ignore[attr-defined]  # noqa: SLF001
