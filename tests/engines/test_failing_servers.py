"""A run names the server that fails or breaks the contract."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Never

import grpc
import pytest

from pipeline.engines.recovery import NO_RECOVERY
from pipeline.engines.split import SplitEngine
from pipeline.errors import (
    ContractError,
    LostStageError,
    SourceError,
    StageError,
    UsageError,
)
from pipeline.transport.processes import StageServers
from pipeline.transport.wire import pack
from pipeline.v1.events_pb2 import Totals
from pipeline.v1.pipeline_pb2 import Batch
from pipeline.workloads.events import EVENTS
from tests.engines.conftest import FakeStage, Process, SettingsFor
from tests.engines.failing import DATA, failure


def answering(*numbers: int) -> Process:
    """Answer each request with batches of these numbers."""

    def process(requests: Iterator[Batch], _: grpc.ServicerContext) -> Iterator[Batch]:
        for request in requests:
            for number in numbers:
                reply = Batch(number=number, records=request.records)
                pack(Totals(), into=reply.payload)
                yield reply

    return process


def ending_early(_: Iterator[Batch], __: grpc.ServicerContext) -> Iterator[Batch]:
    """Answer nothing and end the stream well."""
    return iter(())


def swallowing(requests: Iterator[Batch], _: grpc.ServicerContext) -> Iterator[Batch]:
    """Take every request and end the stream well, without an answer."""
    list(requests)
    return iter(())


@pytest.mark.parametrize(
    ("process", "message"),
    [
        (answering(1), r"answered batch 1 where batch 0 is next"),
        (answering(0, 0), r"(answered|sent) batch 0\b"),
        (swallowing, r"ended its stream before it had answered everything"),
        (ending_early, r"ended its stream before it had answered everything"),
    ],
)
def test_a_stage_that_breaks_the_contract_is_named(
    settings_for: SettingsFor,
    addresses: dict[str, str],
    fake_stage: FakeStage,
    process: Process,
    message: str,
) -> None:
    """Another number, an answer too many, or an end too early: the run fails."""
    engine = SplitEngine({**addresses, "aggregate": fake_stage(process)})

    with pytest.raises(ContractError, match=rf"stage aggregate {message}"):
        engine.run(settings_for(DATA, 10))


def test_a_stage_that_fails_while_more_is_sent_is_quoted(
    settings_for: SettingsFor, addresses: dict[str, str], fake_stage: FakeStage
) -> None:
    """The message is the stage's, even if a write fails at the same time."""

    def fail(requests: Iterator[Batch], context: grpc.ServicerContext) -> Never:
        next(requests)
        context.abort(grpc.StatusCode.INTERNAL, "no rules today")

    engine = SplitEngine({**addresses, "parse": fake_stage(fail)})

    for _ in range(20):
        message = failure(engine, settings_for(DATA * 5), StageError)
        assert message == "stage parse: no rules today"


def test_payloads_are_relayed_undecoded(
    settings_for: SettingsFor, addresses: dict[str, str], fake_stage: FakeStage
) -> None:
    """Bytes that are no message pass through the orchestrator from stage to stage."""
    seen = []

    def garble(requests: Iterator[Batch], _: grpc.ServicerContext) -> Iterator[Batch]:
        for request in requests:
            reply = Batch(number=request.number, records=request.records)
            reply.payload.type_url = "example.com/not.registered"
            reply.payload.value = b"\xff\xff\xff"
            yield reply

    def look(requests: Iterator[Batch], _: grpc.ServicerContext) -> Iterator[Batch]:
        for request in requests:
            seen.append((request.payload.type_url, request.payload.value))
            yield request

    engine = SplitEngine(
        {**addresses, "parse": fake_stage(garble), "rules": fake_stage(look)}
    )
    with pytest.raises(StageError, match=r"was sent not\.registered"):
        engine.run(settings_for(DATA, 1000))

    assert seen == [("example.com/not.registered", b"\xff\xff\xff")]


def test_a_stage_of_another_kind_is_refused(
    settings_for: SettingsFor, addresses: dict[str, str]
) -> None:
    """A server without the method is distinguished from one that has failed."""
    engine = SplitEngine({**addresses, "parse": addresses["sink"]})

    message = failure(engine, settings_for(DATA), StageError)

    assert "what listens there is another stage" in message


def test_an_address_where_nobody_listens_is_named(
    settings_for: SettingsFor, addresses: dict[str, str]
) -> None:
    """At once, and before anything is opened."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        host, port = closed.getsockname()
    engine = SplitEngine({**addresses, "rules": f"{host}:{port}"})

    message = failure(engine, settings_for(DATA), StageError)

    assert message == f"stage rules: nobody answers at {host}:{port}"


def test_an_address_of_an_unknown_stage_is_wrong_usage(
    settings_for: SettingsFor,
) -> None:
    """The error lists the stages that there are."""
    engine = SplitEngine({"pares": "127.0.0.1:1"})

    assert "has ingest, parse" in failure(engine, settings_for(DATA), UsageError)


def test_servers_of_a_workload_without_a_name_can_not_be_started(
    settings_for: SettingsFor,
) -> None:
    """They are processes of their own and have to import it."""
    run = settings_for(DATA, workload=replace(EVENTS, name=""))

    assert "has no name" in failure(SplitEngine(), run, UsageError)


def test_a_server_that_dies_is_named_with_how_it_ended(
    settings_for: SettingsFor, tmp_path: Path
) -> None:
    """Killed in mid-run, it fails the run; no process is left."""
    folders = {"ingest": [tmp_path], "sink": [tmp_path]}
    with StageServers(EVENTS.name, EVENTS.stage_names, folders=folders) as servers:
        pids = {process.stage: process.pid for process in servers.processes}

        def kill(_: int) -> None:
            os.kill(pids["rules"], signal.SIGKILL)

        engine = SplitEngine(servers.addresses, recovery=NO_RECOVERY)
        message = failure(
            engine, settings_for(DATA * 50, 1, on_progress=kill), LostStageError
        )
        (address,) = servers.addresses["rules"]
        exit_summary = servers.exit_summary(address)

    assert message.startswith("stage rules at unix:")
    assert "is lost" in message
    assert exit_summary == "ended by SIGKILL"
    assert all(not is_running(pid) for pid in pids.values())


def test_a_server_that_does_not_start_says_why() -> None:
    """The last line of its log is in the message, and the others are stopped."""
    with pytest.raises(StageError, match="pares did not start: ended with exit code 2"):
        StageServers(EVENTS.name, ["ingest", "pares"])


def test_servers_are_stopped_when_a_run_fails(
    settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine leaves no process behind that it has started itself."""
    pids: list[int] = []
    stop = StageServers.stop

    def note(servers: StageServers) -> None:
        pids.extend(process.pid for process in servers.processes)
        stop(servers)

    monkeypatch.setattr(StageServers, "stop", note)

    failure(SplitEngine(), settings_for(b""), SourceError)

    assert len(pids) == 5
    assert all(not is_running(pid) for pid in pids)


def is_running(pid: int) -> bool:
    """Return whether a process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
