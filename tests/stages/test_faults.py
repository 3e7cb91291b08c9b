"""Stages in other languages are killed, paused, cut off, and sent hostile bytes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from pipeline.batching import BatchLimits
from pipeline.engines.base import RunSettings
from pipeline.engines.monolith import MonolithEngine
from pipeline.engines.recovery import NO_RECOVERY
from pipeline.engines.split import SplitEngine
from pipeline.errors import StageError
from pipeline.languages import Language
from pipeline.transport.processes import serve_command
from pipeline.transport.stubs import StageStub
from pipeline.transport.wire import channel_options, pack
from pipeline.v1.lines_pb2 import Lines
from pipeline.v1.pipeline_pb2 import Batch
from pipeline.workloads.events.generate import generate_events
from pipeline.workloads.events.parse import parse
from tests.stages.conftest import StartServers, addresses, outcome

STAGES = ("ingest", "parse", "rules", "aggregate", "sink")
EARLIER = b"an earlier result\n"
_PAUSE_S = 0.5

each_stage = pytest.mark.parametrize("stage", STAGES)


@pytest.fixture
def run(run_settings: Callable[[str], RunSettings]) -> RunSettings:
    """A run of many batches, over an earlier result."""
    settings = run_settings("events")
    Path(settings.input).write_bytes(b"".join(generate_events(3000, seed=1, users=9)))
    settings.output.write_bytes(EARLIER)
    return replace(settings, limits=BatchLimits(records=2))


@each_stage
def test_a_killed_stage_fails_the_run_and_keeps_the_earlier_result(
    language: Language, stage: str, run: RunSettings, start_servers: StartServers
) -> None:
    """The error names the stage. The input is a pipe, so that ingest is never done."""
    servers = start_servers(language.name, "events")
    source = Path(run.input)
    first = b"".join(source.read_bytes().splitlines(keepends=True)[:300])
    source.unlink()
    os.mkfifo(source)

    def kill(_: int) -> None:
        servers[stage].signal(signal.SIGKILL)

    writer = os.open(source, os.O_RDWR)
    try:
        os.write(writer, first)
        engine = SplitEngine(addresses(servers), recovery=NO_RECOVERY)
        with pytest.raises(StageError, match=f"stage {stage}"):
            engine.run(replace(run, on_progress=kill))
    finally:
        os.close(writer)

    assert run.output.read_bytes() == EARLIER


@each_stage
def test_a_paused_stage_delays_the_run_and_changes_nothing(
    language: Language, stage: str, run: RunSettings, start_servers: StartServers
) -> None:
    """It goes on where it was."""
    servers = start_servers(language.name, "events")
    resume = threading.Timer(_PAUSE_S, lambda: servers[stage].signal(signal.SIGCONT))

    def pause(_: int) -> None:
        if not resume.ident:
            servers[stage].pause()
            resume.start()

    expected = outcome(MonolithEngine(), run, 2)
    began = time.monotonic()

    found = outcome(SplitEngine(addresses(servers)), replace(run, on_progress=pause), 2)

    resume.join()
    assert found == expected
    # A fast ingest may have sent everything before it is paused.
    assert stage == "ingest" or time.monotonic() - began > _PAUSE_S


def test_stages_whose_client_has_vanished_serve_the_next_run(
    language: Language, run: RunSettings, start_servers: StartServers
) -> None:
    """A run that breaks off cuts every call, and publishes nothing."""
    servers = start_servers(language.name, "events")
    engine = SplitEngine(addresses(servers))

    class BreaksOff(Exception):  # noqa: N818 - not an error of the run
        pass

    def break_off(_: int) -> None:
        raise BreaksOff

    with pytest.raises(BreaksOff):
        engine.run(replace(run, on_progress=break_off))

    assert run.output.read_bytes() == EARLIER
    expected = outcome(MonolithEngine(), run, 100)
    assert outcome(engine, run, 100) == expected


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x00" * 4096,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 64,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9) + b"\x00\xff\xff\x01\x05",
    ],
    ids=["http1", "zeros", "bad-frames", "cut-headers"],
)
def test_hostile_bytes_do_not_end_a_stage(
    language: Language, sent: bytes, run: RunSettings, start_servers: StartServers
) -> None:
    """Every server goes on to serve a run."""
    servers = start_servers(language.name, "events")
    for server in servers.values():
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(server.address.removeprefix("unix:"))
            client.sendall(sent)

    expected = outcome(MonolithEngine(), run, 100)

    assert outcome(SplitEngine(addresses(servers)), run, 100) == expected


@each_stage
def test_a_stage_ends_on_sigterm_and_removes_its_socket(
    language: Language, stage: str, start_servers: StartServers
) -> None:
    """At once, since no stream is open."""
    server = start_servers(language.name, "events")[stage]

    server.stop()
    server.wait_ended(10)

    assert server.ending == "ended with exit code 0"
    assert not Path(server.address.removeprefix("unix:")).exists()


@pytest.mark.parametrize(
    "text",
    [
        b"a\n\xff",
        b'{"x":"' + b"[" * 600 + b'\\"' * 500_000 + b"\n",
        b"[" * 1_000_000 + b"\n",
        b'{"a":' * 200_000 + b"\n",
    ],
    ids=["no-line-end", "endless-text", "deep-arrays", "deep-objects"],
)
def test_hostile_lines_are_answered_as_in_python(
    language: Language, text: bytes, start_servers: StartServers
) -> None:
    """At once, whatever a client that is no ingest sends."""
    server = start_servers(language.name, "events")["parse"]
    request = Batch(records=1)
    pack(Lines(first_record=1, text=text), into=request.payload)
    options = channel_options(server.address)

    with grpc.insecure_channel(server.address, options=options) as channel:
        (reply,) = StageStub(channel).Process(iter([request]), timeout=20)

    expected = parse(Lines(first_record=1, text=text))
    assert list(reply.rejections) == list(expected.rejections)
    assert reply.records == expected.records


def test_a_file_in_the_place_of_a_socket_is_kept(
    language: Language, tmp_path: Path
) -> None:
    """The program can't serve there, and says so in one line."""
    path = tmp_path / "notes"
    path.write_text("mine")
    bind = f"unix:{path}"

    done = subprocess.run(
        serve_command("events", "parse", bind=bind, program=language.program()),
        capture_output=True,
        check=False,
        text=True,
        timeout=20,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert path.read_text() == "mine"


def test_a_stage_ends_with_its_parent(language: Language, tmp_path: Path) -> None:
    """At the end of file of its lifeline, although nobody has sent a signal."""
    bind = f"unix:{tmp_path / 'socket'}"
    command = serve_command("events", "parse", bind=bind, program=language.program())
    read_end, write_end = os.pipe()
    with subprocess.Popen(
        [*command, "--lifeline", str(read_end)],
        stdout=subprocess.PIPE,
        pass_fds=[read_end],
    ) as server:
        os.close(read_end)
        assert server.stdout is not None
        assert server.stdout.readline()

        os.close(write_end)

        assert server.wait(timeout=10) == 1
