"""The servicers, driven message by message without a socket."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc_testing
import pytest

from pipeline.stages import Output, Stage
from pipeline.transport.folders import ServedFolders
from pipeline.transport.servicers import IngestServicer, SinkServicer, StageServicer
from pipeline.transport.wire import SERVICES, TIMING_KEY, pack, unpack
from pipeline.v1.events_pb2 import EVENT_TYPE_CLICK, Amounts, Events, Totals
from pipeline.v1.lines_pb2 import Lines
from pipeline.v1.pipeline_pb2 import (
    Batch,
    Commit,
    Position,
    ReadRequest,
    Rejection,
    Target,
    Timing,
    WriteRequest,
    WriteSummary,
)
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.aggregate import aggregate
from pipeline.workloads.lines import LINES, line_source

GOOD = b'{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":11}\n'


def batch_of(number: int, message: Any, records: int) -> Batch:
    """Put a message into a batch."""
    batch = Batch(number=number, records=records)
    pack(message, into=batch.payload)
    return batch


def invoke(service: str, method: str, servicer: object, *request: object) -> Any:
    """Start a call of ``method`` on ``servicer``."""
    descriptor = SERVICES[service]
    server = grpc_testing.server_from_dictionary(
        {descriptor: servicer}, grpc_testing.strict_real_time()
    )
    call = descriptor.methods_by_name[method]
    if method == "Read":
        return server.invoke_unary_stream(call, (), *request, None)
    if method == "Write":
        return server.invoke_stream_unary(call, (), None)
    return server.invoke_stream_stream(call, (), None)


def process(stage: Stage[Any, Any]) -> Any:
    """Open a stream to a transform stage."""
    return invoke("Stage", "Process", StageServicer(stage))


def test_each_batch_is_answered_before_the_next_is_sent() -> None:
    """One reply a request, of the same number, with counts, payload and times."""
    rpc = process(EVENTS.transform("parse"))
    for number in (5, 6):
        rpc.send_request(batch_of(number, Lines(first_record=9, text=GOOD + b"x\n"), 2))
        reply = rpc.take_response()

        assert (reply.number, reply.records, reply.filtered) == (number, 1, 0)
        assert list(reply.rejections) == [Rejection(record=10, reason="malformed_json")]
        assert list(unpack(reply.payload, Events).value) == [11]
        assert reply.timing.process_ns > 0
    rpc.requests_closed()

    assert rpc.termination()[1] is grpc.StatusCode.OK


def test_an_empty_stream_ends_well_and_tells_its_memory() -> None:
    """After the last reply, trailing metadata has what is left to account for."""
    rpc = process(EVENTS.transform("rules"))
    rpc.requests_closed()
    metadata, code, _ = rpc.termination()

    assert code is grpc.StatusCode.OK
    (timing,) = [
        Timing.FromString(value) for key, value in metadata if key == TIMING_KEY
    ]
    assert timing.peak_rss_bytes > 1024 * 1024


def test_a_batch_left_with_no_record_is_still_answered() -> None:
    """What the rules filter away wholly comes back as an empty batch."""
    rpc = process(EVENTS.transform("rules"))
    rpc.send_request(
        batch_of(0, Events(ts=[""], type=[EVENT_TYPE_CLICK], user=[""], value=[1]), 1)
    )
    reply = rpc.take_response()
    rpc.requests_closed()

    assert (reply.number, reply.records, reply.filtered) == (0, 0, 1)
    assert unpack(reply.payload, Amounts) == Amounts()
    assert rpc.termination()[1] is grpc.StatusCode.OK


def test_a_payload_of_another_type_is_refused() -> None:
    """INVALID_ARGUMENT names the batch, the type taken and the type sent."""
    rpc = process(EVENTS.transform("rules"))
    rpc.send_request(batch_of(3, Lines(), 0))
    _, code, details = rpc.termination()

    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details == "batch 3: takes pipeline.v1.Events, was sent pipeline.v1.Lines"


def test_a_payload_that_is_no_message_is_refused() -> None:
    """Bytes that do not decode are the sender's fault, not a failure of the stage."""
    rpc = process(EVENTS.transform("rules"))
    batch = batch_of(0, Events(), 0)
    batch.payload.value = b"\xff"
    rpc.send_request(batch)

    assert rpc.termination()[1] is grpc.StatusCode.INVALID_ARGUMENT


def test_a_stage_function_that_fails_ends_the_stream_by_name() -> None:
    """INTERNAL names the batch, the exception and its text, in one line."""

    def broken(_: Lines) -> Output[Lines]:
        raise ZeroDivisionError("oh\nno")

    rpc = process(Stage("broken", Lines, Lines, broken))
    rpc.send_request(batch_of(7, Lines(), 0))
    _, code, details = rpc.termination()

    assert code is grpc.StatusCode.INTERNAL
    assert details == "batch 7: ZeroDivisionError: oh no"


def read(folder: Path, path: str, batch_records: int = 2, **request: Any) -> Any:
    """Ask ingest, serving ``folder``, for the lines of ``path``."""
    message = ReadRequest(batch_records=batch_records, batch_bytes=1000, **request)
    pack(line_source(path), into=message.source)
    servicer = IngestServicer(EVENTS, ServedFolders([folder]))
    return invoke("Ingest", "Read", servicer, message)


def test_ingest_numbers_full_batches_from_zero(tmp_path: Path) -> None:
    """Five lines by two are three batches; the last holds what is left."""
    (tmp_path / "in").write_bytes(b"a\nb\nc\r\nd\ne")
    rpc = read(tmp_path, "in")
    batches = [rpc.take_response() for _ in range(3)]

    assert [(batch.number, batch.records) for batch in batches] == [
        (0, 2),
        (1, 2),
        (2, 1),
    ]
    texts = [unpack(batch.payload, Lines).text for batch in batches]
    assert texts == [b"a\nb\n", b"c\r\nd\n", b"e\n"]
    assert rpc.termination()[1] is grpc.StatusCode.OK


def test_ingest_goes_on_from_a_position(tmp_path: Path) -> None:
    """The numbers of batches and records are those of the whole run."""
    (tmp_path / "in").write_bytes(b"a\nb\nc\nd\ne")
    position = Position(batches=9, records=3)
    rpc = read(tmp_path, "in", position=position, max_records=4)
    batch = rpc.take_response()

    assert (batch.number, batch.records) == (9, 1)
    assert unpack(batch.payload, Lines) == Lines(first_record=4, text=b"d\n")
    assert rpc.termination()[1] is grpc.StatusCode.OK


def test_an_error_of_ingest_after_a_position_names_the_batch_of_the_run(
    tmp_path: Path,
) -> None:
    """Its number and its first record count from the start of the run."""

    def broken(*_: object, **__: object) -> Iterator[Output[Lines]]:
        yield Output(Lines(), 3)
        yield Output(Lines(), -1)

    source = replace(LINES, read=broken, live_limits=False)
    servicer = IngestServicer(replace(EVENTS, source=source), ServedFolders([tmp_path]))
    message = ReadRequest(
        batch_records=3, batch_bytes=1, position=Position(batches=9, records=3)
    )
    pack(line_source("in"), into=message.source)
    _, code, details = invoke("Ingest", "Read", servicer, message).termination()

    assert code is grpc.StatusCode.INTERNAL
    assert details.startswith("batch 9, from record 4: ValueError")


@pytest.mark.parametrize(
    ("path", "code", "details"),
    [
        ("missing", "FAILED_PRECONDITION", "can't read missing: no such file"),
        (".", "FAILED_PRECONDITION", "can't read .: is a directory"),
        ("../outside", "FAILED_PRECONDITION", "outside the folders that ingest serves"),
        (
            "/etc/passwd",
            "FAILED_PRECONDITION",
            "outside the folders that ingest serves",
        ),
        ("link", "FAILED_PRECONDITION", "outside the folders that ingest serves"),
        ("-", "FAILED_PRECONDITION", "does not serve standard input"),
    ],
)
def test_ingest_reads_only_what_it_serves(
    tmp_path: Path, path: str, code: str, details: str
) -> None:
    """Neither a path, nor "..", nor a link leads out of its folders."""
    served = tmp_path / "served"
    served.mkdir()
    (tmp_path / "outside").write_bytes(GOOD)
    (served / "link").symlink_to(tmp_path / "outside")
    _, status, text = read(served, path).termination()

    assert status.name == code
    assert details in text


def test_ingest_refuses_a_batch_size_of_nothing(tmp_path: Path) -> None:
    """A request that leaves the limit at zero is wrong, not endless."""
    _, code, details = read(tmp_path, "in", batch_records=0).termination()

    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "batch size 0" in details


def clicks(*values: int) -> Totals:
    """Return the aggregation state of these values."""
    return aggregate(
        Amounts(type=[EVENT_TYPE_CLICK] * len(values), value=values)
    ).message


def write(folder: Path, requests: list[WriteRequest]) -> tuple[WriteSummary, Any, str]:
    """Send requests to a sink that serves ``folder``; return how it ended."""
    rpc = invoke("Sink", "Write", SinkServicer(EVENTS, ServedFolders([folder])))
    for request in requests:
        rpc.send_request(request)
    rpc.requests_closed()
    summary, _, code, details = rpc.termination()
    return summary, code, details


def target(path: str) -> WriteRequest:
    """Open a result file."""
    return WriteRequest(target=Target(path=path))


def state(number: int, *values: int) -> WriteRequest:
    """Send the aggregation state of these values."""
    return WriteRequest(batch=batch_of(number, clicks(*values), len(values)))


def commit(batches: int, records: int) -> WriteRequest:
    """Say that the run was whole."""
    return WriteRequest(commit=Commit(batches=batches, records=records))


def test_the_sink_publishes_on_a_commit_that_matches(tmp_path: Path) -> None:
    """The summary counts what is in the result itself."""
    summary, code, _ = write(
        tmp_path,
        [target("out"), state(0, 10, 20), state(1), state(2, 30), commit(3, 3)],
    )

    assert code is grpc.StatusCode.OK
    assert (summary.batches, summary.records) == (3, 3)
    result = (tmp_path / "out").read_bytes()
    assert result == b'{"key":"click","count":3,"sum":60,"avg":20.0}\n'
    assert summary.result_bytes == len(result)


def unfinished() -> Iterator[tuple[str, list[WriteRequest], str, str]]:
    """Yield streams that must publish nothing: what is wrong, requests, status."""
    yield "no commit", [target("out"), state(0, 1)], "INVALID_ARGUMENT", "no commit"
    yield "nothing at all", [], "INVALID_ARGUMENT", "takes a target first"
    yield "no target", [state(0, 1)], "INVALID_ARGUMENT", "takes a target first"
    yield (
        "two targets",
        [target("out"), target("out")],
        "INVALID_ARGUMENT",
        "takes batch 0 next, was sent target",
    )
    yield (
        "a gap",
        [target("out"), state(1, 1)],
        "INVALID_ARGUMENT",
        "takes batch 0 next, was sent batch 1",
    )
    yield (
        "a batch twice",
        [target("out"), state(0, 1), state(0, 1), commit(2, 2)],
        "INVALID_ARGUMENT",
        "takes batch 1 next, was sent batch 0",
    )
    yield (
        "a record short",
        [target("out"), state(0, 1), commit(1, 2)],
        "DATA_LOSS",
        "2 records in 1 batches were passed on, but the result counts 1 in 1",
    )
    yield (
        "a batch short",
        [target("out"), state(0, 1), commit(2, 1)],
        "DATA_LOSS",
        "1 records in 2 batches",
    )
    yield (
        "another payload",
        [target("out"), WriteRequest(batch=batch_of(0, Lines(), 0))],
        "INVALID_ARGUMENT",
        "takes pipeline.v1.Totals, was sent pipeline.v1.Lines",
    )
    yield "outside", [target("../out")], "FAILED_PRECONDITION", "outside the folders"
    yield "a folder", [target(".")], "FAILED_PRECONDITION", "folder"


@pytest.mark.parametrize(
    ("requests", "code", "details"),
    [pytest.param(*rest, id=what) for what, *rest in unfinished()],
)
def test_the_sink_publishes_nothing_else(
    tmp_path: Path, requests: list[WriteRequest], code: str, details: str
) -> None:
    """An earlier result stays as it was, and no draft is left beside it."""
    (tmp_path / "out").write_bytes(b"earlier")
    _, status, text = write(tmp_path, requests)

    assert status.name == code
    assert details in text
    assert (tmp_path / "out").read_bytes() == b"earlier"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_payload_is_known_by_the_last_part_of_its_type_url() -> None:
    """What stands before the last slash may differ from language to language."""
    rpc = process(EVENTS.transform("rules"))
    batch = batch_of(0, Events(), 0)
    batch.payload.type_url = "example.com/any/pipeline.v1.Events"
    rpc.send_request(batch)
    reply = rpc.take_response()
    rpc.requests_closed()

    assert reply.number == 0
    assert rpc.termination()[1] is grpc.StatusCode.OK
