"""Twelve kinds of hostile clients, against all five servers, while runs proceed.

``python -m tests.transport.hostile_clients --seconds 600`` takes ten minutes and prints
what it saw.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import psutil

from pipeline.engines.base import RunSettings
from pipeline.engines.monolith import MonolithEngine
from pipeline.engines.split import SplitEngine
from pipeline.errors import PipelineError
from pipeline.stages import INGEST, SINK
from pipeline.transport import wire
from pipeline.transport.processes import ServerProcess
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.generate import generate_events

CHECK = "/grpc.health.v1.Health/Check"
METHODS = {INGEST: wire.READ, SINK: wire.WRITE}
CALL_S = 2.0

Attack = Callable[[grpc.Channel, str, str], None]


def _call(channel: grpc.Channel, method: str, *messages: bytes, **options: Any) -> None:
    """Send messages as they are, and take all replies."""
    start: Any = channel.stream_stream(method)
    call = start(iter(messages), timeout=CALL_S, **options)
    for _ in call:
        pass


def _silent(stop: threading.Event) -> Iterator[bytes]:
    stop.wait(CALL_S)
    yield from ()


def _hold(channel: grpc.Channel, method: str, count: int) -> None:
    """Open streams that send nothing, and keep them for a while."""
    stop = threading.Event()
    start: Any = channel.stream_stream(method)
    calls = [start(_silent(stop), timeout=CALL_S) for _ in range(count)]
    for call in calls:
        with suppress(grpc.RpcError):
            list(call)
    stop.set()


def _raw(address: str, data: bytes) -> None:
    """Send bytes that are not HTTP/2, or not all of it."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(CALL_S)
        client.connect(address.removeprefix("unix:"))
        client.sendall(data)
        while client.recv(4096):
            pass


def _connections(address: str) -> None:
    with ExitStack() as stack:
        for _ in range(40):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(address.removeprefix("unix:"))
        time.sleep(0.1)  # they stay open, beside those of the other clients


_PATHS = (b"a\0b", b"../../etc/passwd", b"x" * 5000, b"pipe", b"a\nb")

ATTACKS: dict[str, Attack] = {
    "idle streams": lambda channel, method, _: _hold(channel, method, 16),
    "silent health checks": lambda channel, _, __: _hold(channel, CHECK, 2),
    "huge message": lambda channel, method, _: _call(channel, method, bytes(20 << 20)),
    "gzip bomb": lambda channel, method, _: _call(
        channel, method, bytes(60 << 20), compression=grpc.Compression.Gzip
    ),
    "garbage messages": lambda channel, method, _: _call(
        channel, method, *(os.urandom(200) for _ in range(20))
    ),
    "empty messages": lambda channel, method, _: _call(channel, method, *[b""] * 50),
    "odd paths": lambda channel, method, _: _call(
        channel, method, *(b"\x0a" + bytes([len(p) % 128]) + p for p in _PATHS)
    ),
    "unknown methods": lambda channel, _, __: _call(channel, "/no.Such/Method", b"x"),
    "large metadata": lambda channel, method, _: _call(
        channel, method, b"", metadata=[("x", "y" * 100_000)]
    ),
    "raw bytes": lambda _, __, address: _raw(address, os.urandom(10_000)),
    "cut preface": lambda _, __, address: _raw(address, b"PRI * HTTP/2.0\r\n"),
    "connections": lambda _, __, address: _connections(address),
}


@dataclass
class Seen:
    """What came of it."""

    runs: int = 0
    refused_runs: int = 0
    wrong_results: int = 0
    dead: list[str] = field(default_factory=list)
    unanswered_health: int = 0
    slowest_health_s: float = 0.0
    most_rss_mib: float = 0.0
    attacks: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ATTACKS, 0))


def attack_for(seconds: float, events: int = 20_000) -> Seen:
    """Attack five servers in turn with all kinds, and run on them meanwhile.

    A run that is refused because the servers are full is no wrong result.
    """
    seen = Seen()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="h-")))
        (folder / "in").write_bytes(b"".join(generate_events(events, seed=1)))
        MonolithEngine().run(_settings(folder, "expected"))
        expected = (folder / "expected").read_bytes()
        servers = [_server(stage, folder, stack) for stage in EVENTS.stage_names]
        stop = threading.Event()
        attackers = [
            threading.Thread(target=_attack, args=(name, servers, stop, seen))
            for name in ATTACKS
        ]
        observer = threading.Thread(target=_observe, args=(servers, stop, seen))
        for thread in (*attackers, observer):
            thread.start()
        ends = time.monotonic() + seconds
        while time.monotonic() < ends or not seen.runs:
            addresses = {each.stage: each.address for each in servers}
            try:
                SplitEngine(addresses).run(_settings(folder, "out"))
            except PipelineError as error:
                if "full" not in str(error) or time.monotonic() > ends + 60:
                    stop.set()
                    raise
                seen.refused_runs += 1
                continue
            seen.runs += 1
            seen.wrong_results += (folder / "out").read_bytes() != expected
        stop.set()
        for thread in (*attackers, observer):
            thread.join()
        seen.dead = [each.stage for each in servers if each.ending]
    return seen


def _settings(folder: Path, output: str) -> RunSettings:
    path = str(folder / "in")
    return RunSettings(
        workload=EVENTS,
        source=EVENTS.source.describe(path),
        input=path,
        output=folder / output,
    )


def _server(stage: str, folder: Path, stack: ExitStack) -> ServerProcess:
    server = ServerProcess(
        stage,
        [
            *(sys.executable, "-P", "-m", "pipeline", "serve", stage),
            *("--bind", f"unix:{folder}/{stage}", "--folder", str(folder)),
            *("--max-message-bytes", str(16 << 20), "--idle-timeout", "5"),
        ],
        folder / f"{stage}.log",
    )
    stack.callback(lambda: server.reap(time.monotonic() + 10))
    stack.callback(server.stop)
    server.wait_ready(time.monotonic() + 60)
    return server


def _attack(
    name: str, servers: list[ServerProcess], stop: threading.Event, seen: Seen
) -> None:
    for server in itertools.cycle(servers):
        if stop.is_set():
            return
        method = METHODS.get(server.stage, wire.PROCESS)
        options = wire.channel_options(server.address)
        with (
            suppress(grpc.RpcError, OSError),
            grpc.insecure_channel(server.address, options) as channel,
        ):
            ATTACKS[name](channel, method, server.address)
        seen.attacks[name] += 1


def _observe(servers: list[ServerProcess], stop: threading.Event, seen: Seen) -> None:
    processes = {each.pid: psutil.Process(each.pid) for each in servers}
    while not stop.wait(0.2):
        for server in servers:
            with suppress(psutil.Error):
                rss = processes[server.pid].memory_info().rss / 2**20
                seen.most_rss_mib = max(seen.most_rss_mib, rss)
            began = time.monotonic()
            options = wire.channel_options(server.address)
            with grpc.insecure_channel(server.address, options) as channel:
                check: Any = channel.unary_unary(CHECK)
                try:
                    check(b"", timeout=30)
                except grpc.RpcError:
                    seen.unanswered_health += 1
            took = time.monotonic() - began
            seen.slowest_health_s = max(seen.slowest_health_s, took)


def main() -> None:
    """Attack, and print what was seen as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    sys.stdout.write(f"{json.dumps(vars(attack_for(parser.parse_args().seconds)))}\n")


if __name__ == "__main__":
    main()
