"""A run that fails says why, leaves earlier files alone, and leaves nothing running."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Never, cast

import grpc
import pytest

from pipeline.batching import BatchLimits
from pipeline.engines.base import Engine, RunSettings
from pipeline.engines.monolith import MonolithEngine
from pipeline.engines.split import SplitEngine
from pipeline.errors import (
    ConservationError,
    ContractError,
    FunctionError,
    PipelineError,
    SinkError,
    SourceError,
    StageError,
    UsageError,
)
from pipeline.stage import Opener, Output, Stage, Workload
from pipeline.transport.folders import ServedFolders
from pipeline.transport.processes import StageServers
from pipeline.transport.server import StageServer
from pipeline.transport.wire import pack
from pipeline.v1.events_pb2 import EVENT_TYPE_PURCHASE, Amounts, Events, Totals
from pipeline.v1.lines_pb2 import Lines, LineSource
from pipeline.v1.pipeline_pb2 import Batch
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.aggregate import TotalsByType
from pipeline.workloads.events.generate import generate_events
from pipeline.workloads.events.rules import rules
from pipeline.workloads.lines import LINES, line_source, read_lines
from tests.engines.conftest import FakeStage, Process, SettingsFor

DATA = b"".join(generate_events(100, seed=1, users=5))


@pytest.fixture(params=["monolith", "split"])
def engine(request: pytest.FixtureRequest, addresses: dict[str, str]) -> Engine:
    """Both engines in turn."""
    return MonolithEngine() if request.param == "monolith" else SplitEngine(addresses)


def failure(engine: Engine, run: RunSettings, expected: type[PipelineError]) -> str:
    """Run, expect an error, and check that no file was touched; return its message."""
    error = failed(engine, run)
    assert type(error) is expected
    message = str(error)
    assert "\n" not in message
    return message


def failed(engine: Engine, run: RunSettings) -> PipelineError:
    """Run, expect an error, and check that no file was touched; return it."""
    assert run.rejects is not None
    earlier = dict.fromkeys((run.output, run.rejects), b"earlier")
    for path, data in earlier.items():
        if path.parent.is_dir() and not path.is_dir():
            path.write_bytes(data)
    with pytest.raises(PipelineError) as raised:
        engine.run(run)
    for path, data in earlier.items():
        assert not path.is_file() or path.read_bytes() == data
        assert is_soon_gone(path.parent, ".*.partial")
    return raised.value


def is_soon_gone(folder: Path, pattern: str) -> bool:
    """Say whether a sink in another thread discards its draft within ten seconds."""
    deadline = time.monotonic() + 10
    while list(folder.glob(pattern)):
        if time.monotonic() > deadline:
            return False
    return True


def test_an_empty_source_is_an_error(engine: Engine, settings_for: SettingsFor) -> None:
    """Nothing in is nothing to publish: an earlier result is worth more."""
    message = failure(engine, settings_for(b""), SourceError)

    assert message == "the source holds no records; nothing was published"


def test_a_missing_file_is_named(
    engine: Engine, settings_for: SettingsFor, tmp_path: Path
) -> None:
    """Both engines say which file, and that it is missing."""
    path = tmp_path / "missing.ndjson"
    run = settings_for(b"", source=line_source(path), input=str(path))

    message = failure(engine, run, SourceError)

    assert message == f"can't read {path}: no such file or directory"


def test_a_folder_is_no_source(
    engine: Engine, settings_for: SettingsFor, tmp_path: Path
) -> None:
    """Both engines say that it is one."""
    run = settings_for(b"", source=line_source(tmp_path), input=str(tmp_path))

    assert failure(engine, run, SourceError) == f"can't read {tmp_path}: is a directory"


@pytest.mark.parametrize(
    ("output", "reason"),
    [("missing/out", "no such file or directory"), (".", "it is a folder")],
)
def test_an_output_that_cannot_be_written_is_named(
    engine: Engine,
    settings_for: SettingsFor,
    tmp_path: Path,
    output: str,
    reason: str,
) -> None:
    """Whether the folder is missing or the output is a folder."""
    path = tmp_path / output

    message = failure(engine, settings_for(DATA, output=path), SinkError)

    assert message == f"can't write {path}: {reason}"


def broken(function: Callable[[Events], Output[Amounts]]) -> Workload:
    """Return the events workload with other rules."""
    return replace(
        EVENTS,
        transforms=tuple(
            Stage("rules", Events, Amounts, function)
            if stage.name == "rules"
            else stage
            for stage in EVENTS.transforms
        ),
    )


def raising(_: Events) -> Output[Amounts]:
    """Fail."""
    raise ZeroDivisionError("no rules today")


def unlike(_: Events) -> Output[Amounts]:
    """Return something else than is declared."""
    return cast("Output[Amounts]", Output(Totals(), records=0))


def losing(events: Events) -> Output[Amounts]:
    """Lose a record without a word."""
    output = rules(events)
    return replace(output, filtered=output.filtered - 1)


def miscounting(events: Events) -> Output[Amounts]:
    """Call a record passed that is not in the message."""
    output = rules(events)
    return replace(output, records=output.records + 1, filtered=output.filtered - 1)


@pytest.mark.parametrize(
    ("function", "expected", "message"),
    [
        (
            raising,
            FunctionError,
            "stage rules: batch 0, from record 1: ZeroDivisionError: no rules today",
        ),
        (
            unlike,
            FunctionError,
            "stage rules: batch 0, from record 1: TypeError: returned Output of Totals",
        ),
        (losing, ContractError, "stage rules was given 100 records in batch 0, but"),
        (miscounting, ContractError, "stage aggregate was given"),
    ],
)
@pytest.mark.parametrize("name", ["monolith", "split"])
def test_a_broken_stage_fails_the_run_by_name(
    settings_for: SettingsFor,
    addresses: dict[str, str],
    tmp_path: Path,
    name: str,
    function: Callable[[Events], Output[Amounts]],
    expected: type[PipelineError],
    message: str,
) -> None:
    """Both engines give the same message for the same fault."""
    workload = broken(function)
    run = settings_for(DATA, 1000, workload=workload)
    server = StageServer(
        workload, "rules", f"unix:{tmp_path}/broken", ServedFolders([])
    )
    engine: Engine = (
        MonolithEngine()
        if name == "monolith"
        else SplitEngine({**addresses, "rules": server.address})
    )

    assert failure(engine, run, expected).startswith(message)
    server.stop_now()


def in_parts(engine_name: str, workload: Workload, folder: Path) -> Iterator[Engine]:
    """Yield an engine that runs ``workload``, with servers of its own for the split."""
    if engine_name == "monolith":
        yield MonolithEngine()
        return
    servers = [
        StageServer(
            workload, name, f"unix:{folder}/{name}.own", ServedFolders([folder])
        )
        for name in workload.stage_names
    ]
    names = workload.stage_names
    yield SplitEngine(
        {name: server.address for name, server in zip(names, servers, strict=True)}
    )
    for server in servers:
        server.stop_now()


def explode() -> Never:
    """Fail, one call below whoever calls it."""
    raise ZeroDivisionError("no luck")


def exploding_read(
    spec: LineSource, limits: BatchLimits, max_records: int, inputs: Opener
) -> Iterator[Output[Lines]]:
    """Fail after the first batch."""
    yield next(read_lines(spec, limits, max_records, inputs))
    explode()


class ExplodingResult(TotalsByType):
    """A result that fails at its third batch."""

    batches = 0

    def add(self, totals: Totals, /) -> bytes:
        """Count."""
        self.batches += 1
        return super().add(totals) if self.batches < 3 else explode()


def exploding_rules(events: Events) -> Output[Amounts]:
    """Fail at batches with a purchase."""
    return rules(events) if EVENT_TYPE_PURCHASE not in events.type else explode()


PURCHASE_AT_8 = b"".join(
    b'{"ts":"2026-01-01T00:00:00Z","type":"%b","user":"u","value":10}\n'
    % (b"purchase" if number == 8 else b"click")
    for number in range(1, 16)
)


@pytest.mark.parametrize("engine_name", ["monolith", "split"])
@pytest.mark.parametrize(
    ("workload", "message", "user_frames"),
    [
        (
            broken(exploding_rules),
            "stage rules: batch 1, from record 6: ZeroDivisionError: no luck",
            ["exploding_rules", "explode"],
        ),
        (
            replace(EVENTS, source=replace(LINES, read=exploding_read)),
            "stage ingest: ZeroDivisionError: no luck",
            ["exploding_read", "explode"],
        ),
        (
            replace(EVENTS, new_result=ExplodingResult),
            "stage sink: batch 2, from record 11: ZeroDivisionError: no luck",
            ["add", "explode"],
        ),
    ],
    ids=["transform", "source", "result"],
)
def test_a_function_that_raises_is_found(
    settings_for: SettingsFor,
    tmp_path: Path,
    engine_name: str,
    workload: Workload,
    message: str,
    user_frames: list[str],
) -> None:
    """The message has the stage, the batch and its first record.

    The traceback has the frames of whoever wrote the function, and no other.
    """
    run = settings_for(PURCHASE_AT_8, 5, workload=workload)

    for engine in in_parts(engine_name, workload, tmp_path):
        error = failed(engine, run)

    assert isinstance(error, FunctionError)
    assert str(error) == message
    assert re.findall(r"in (\w+)\n", error.traceback) == user_frames
    assert error.traceback.endswith("\nZeroDivisionError: no luck\n")


def test_a_result_that_counts_other_records_than_passed_is_not_published(
    settings_for: SettingsFor,
) -> None:
    """The result's own count is compared with that of the run."""

    def forgetful(amounts: Amounts) -> Output[Totals]:
        return Output(Totals(), records=len(amounts.type))

    *others, _ = EVENTS.transforms
    workload = replace(
        EVENTS, transforms=(*others, Stage("aggregate", Amounts, Totals, forgetful))
    )

    message = failure(
        MonolithEngine(), settings_for(DATA, workload=workload), ConservationError
    )

    assert "but the result counts 0 in 100" in message


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
    """Its own words reach the user, though a write fails in the same moment."""

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
    """A server that has no such method is told apart from one that has failed."""
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

        engine = SplitEngine(servers.addresses)
        message = failure(
            engine, settings_for(DATA * 50, 1, on_progress=kill), StageError
        )
        (address,) = servers.addresses["rules"]
        obituary = servers.obituary(address)

    assert message.startswith("stage rules at unix:")
    assert "is lost" in message
    assert obituary == "ended by SIGKILL"
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
    """Say whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
