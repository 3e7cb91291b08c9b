"""Things that a test can leave behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from pytest_pipeline.servers.leaks import Owned, Snapshot, left_behind

NOTHING = Owned()
# Nothing connects to it.
TARGET = "127.0.0.1:1"
PYTHON = Path(sys.executable).name


def found_now(before: Snapshot, owned: Owned = NOTHING) -> list[str]:
    """Return what is reported without waiting for anything to end."""
    return left_behind(before, owned, timeout_s=0)


@contextmanager
def running_thread(name: str = "worker") -> Iterator[threading.Thread]:
    """Run a thread."""
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
    """Run a process until its standard input ends."""
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
    """Make a process that has ended and was not waited for; yield its id."""
    with running_process("") as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        yield process.pid


def listening_socket() -> socket.socket:
    """Return a listening socket."""
    return socket.create_server(("127.0.0.1", 0))


def address_of(each: socket.socket) -> str:
    """Return the address of a socket as gRPC writes it."""
    host, port = each.getsockname()
    return f"{host}:{port}"


@contextmanager
def grpc_server() -> Iterator[str]:
    """Run a server without methods; yield its address."""
    with ThreadPoolExecutor(2, thread_name_prefix="pool") as pool:
        server = grpc.server(pool)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()


def call(channel: grpc.Channel) -> None:
    """Call a method that does not exist, which opens a connection."""
    method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
        "/Nobody/Nothing"
    )
    with pytest.raises(grpc.RpcError, match="UNIMPLEMENTED"):
        method(b"", timeout=10)


@contextmanager
def family() -> Iterator[int]:
    """Run a process and its child; yield the id of the parent."""
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
