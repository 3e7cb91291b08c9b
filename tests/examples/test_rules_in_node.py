"""The rules stage in Node gives the same replies as the one in Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import grpc
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.accounting import RunReport
from pipeline.batching import BatchLimits
from pipeline.engines.base import RunSettings
from pipeline.engines.monolith import MonolithEngine
from pipeline.engines.split import SplitEngine
from pipeline.transport import wire
from pipeline.transport.wire import TRACEBACK_KEY, unpack
from pipeline.v1.events_pb2 import EVENT_TYPE_CLICK, Events
from pipeline.v1.lines_pb2 import Lines
from pipeline.v1.pipeline_pb2 import Batch, Rejection
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.generate import generate_events
from pipeline.workloads.events.parse import parse
from pipeline.workloads.events.rules import rules
from pipeline.workloads.lines import line_source
from pytest_pipeline import StageServerFactory, stage_fixture, strategies
from pytest_pipeline.servers.handle import Server
from tests.examples.rules_in_node import COMMAND, ONE, batch_of
from tests.node import EXAMPLE, NODE

pytestmark = pytest.mark.usefixtures("installed_node_example")

node_rules = stage_fixture(COMMAND, name="rules")

types = st.sampled_from([1, 2, 3]) | st.integers(-(2**31), 2**31 - 1)
values = (
    st.integers(8, 12)
    | st.integers(-(2**53), 2**53)
    | st.sampled_from([2**53, -(2**53), 2**49, 2**49 - 1])
)
rows: st.SearchStrategy[tuple[str, Any, str, int]] = st.tuples(
    strategies.timestamps(), types, st.text(max_size=5), values
)
events = st.lists(rows, max_size=20).map(
    lambda drawn: Events(
        ts=[ts for ts, _, _, _ in drawn],
        type=[type_ for _, type_, _, _ in drawn],
        user=[user for _, _, user, _ in drawn],
        value=[value for _, _, _, value in drawn],
    )
)


def expected(batch: Batch) -> Batch:
    """Return the reply of the stage in Python, without its times."""
    output = rules(unpack(batch.payload, Events))
    return batch_of(
        batch.number, output.message, output.records, filtered=output.filtered
    )


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), events), max_size=5))
@example([(0, Events()), (1, ONE), (2, Events())])
@settings(max_examples=150)
def test_replies_are_those_of_the_stage_in_python(
    node_rules: Server, batches: list[tuple[int, Events]]
) -> None:
    """For any events, empty batches, and batch numbers of 64 bits."""
    requests = [
        batch_of(number, message, len(message.type)) for number, message in batches
    ]

    replies = list(node_rules.stub.Process(iter(requests)))

    assert replies == [expected(request) for request in requests]


def test_replies_to_generated_events_are_those_of_the_stage_in_python(
    node_rules: Server,
) -> None:
    """For 5,000 events in one batch, and in batches of different sizes."""
    lines = list(generate_events(5000, seed=3, distribution="zipf"))
    cuts = [0, 1, 8, 1000, 1000, 5000]
    requests = [
        batch_of(number, parse(Lines(text=b"".join(lines[start:end]))).message)
        for number, (start, end) in enumerate([(0, 5000), *pairwise(cuts)])
    ]

    replies = list(node_rules.stub.Process(iter(requests)))

    assert replies == [expected(request) for request in requests]
    assert 0 < replies[0].records < 5000


# Each encodes one type, one value, or a field that the stage does not know.
a_type = st.sampled_from(
    [b"\x12\x01\x01", b"\x10\x03", b"\x10\x81\x00", b"\x12\x00\x10\x02"]
)
a_value = st.sampled_from(
    [
        b"\x22\x01\x14",
        b"\x20\x13",
        b"\x20\x80\x80\x80\x80\x80\x80\x80\x20",
        b"\x22\x00\x20\x28",
    ]
)
unknown = st.sampled_from(
    [
        b"\x28\x01",  # field 5, a varint
        b"\x31" + bytes(8),  # field 6, eight bytes
        b"\x35" + bytes(4),  # field 6, four bytes
        b"\x3a\x02\x22\x01",  # field 7, bytes
        b"\x43\x10\x01\x20\x02\x44",  # field 8, a group with fields in it
        b"\xf8\xff\xff\xff\x0f\x01",  # the highest field number
    ]
)


@given(
    st.lists(st.permutations(["type", "value", "unknown"]), max_size=6),
    st.data(),
)
@settings(max_examples=100)
def test_any_valid_encoding_of_a_message_is_read(
    node_rules: Server, order: list[list[str]], data: st.DataObject
) -> None:
    """Columns packed or not, in pieces, with unknown fields between them."""
    pieces = {"type": a_type, "value": a_value, "unknown": unknown}
    payload = b"".join(data.draw(pieces[name]) for names in order for name in names)
    request = batch_of(1, Events.FromString(payload))
    odd = Batch(number=1)
    odd.payload.type_url = "example.org/types/pipeline.v1.Events"
    odd.payload.value = payload

    (reply,) = node_rules.stub.Process(iter([odd]))

    assert reply == expected(request)


def test_a_batch_over_4_mib_is_taken(node_rules: Server) -> None:
    """The default limit of gRPC is 4 MiB a message."""
    request = batch_of(
        0, Events(user=["é" * 2**22], type=[EVENT_TYPE_CLICK], value=[-1])
    )

    assert list(node_rules.stub.Process(iter([request]))) == [expected(request)]


def payload(type_name: str, value: bytes = b"") -> Batch:
    """Return a batch with this payload."""
    batch = Batch(number=7, first_record=9)
    batch.payload.type_url = f"type.googleapis.com/{type_name}"
    batch.payload.value = value
    return batch


@pytest.mark.parametrize(
    ("batch", "details"),
    [
        (
            payload("pipeline.v1.Amounts"),
            "takes pipeline.v1.Events, was sent pipeline.v1.Amounts",
        ),
        (payload("x.pipeline.v1.Events"), "was sent x.pipeline.v1.Events"),
        (Batch(number=7, first_record=9), "was sent no payload"),
        (
            payload("pipeline.v1.Events", b"\x22\x05\x01"),
            "was sent bytes that are no pipeline.v1.Events: index out of range",
        ),
        (payload("pipeline.v1.Events", b"\x0f"), "are no pipeline.v1.Events"),
        (payload("pipeline.v1.Events", b"\x0a\x0a\x01"), "are no pipeline.v1.Events"),
        (
            payload("pipeline.v1.Events", b"\x20" + b"\x80" * 10 + b"\0"),
            "are no pipeline",
        ),
    ],
    ids=["type", "package", "none", "cut", "wire-type", "cut-string", "varint"],
)
def test_a_payload_other_than_events_is_refused(
    node_rules: Server, batch: Batch, details: str
) -> None:
    """The batch before it is answered; it and the batches after it are not."""
    call = node_rules.stub.Process(iter([batch_of(6, ONE), batch, batch_of(8, ONE)]))

    assert next(call).number == 6
    with pytest.raises(grpc.RpcError):
        next(call)
    assert call.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert call.details().startswith("batch 7, from record 9: ")
    assert details in call.details()
    assert node_rules.health == "SERVING"


def test_bytes_that_are_no_batch_fail_the_stream(node_rules: Server) -> None:
    """The status is the one of grpc-js, which decodes the batch itself."""
    process: Any = node_rules.channel.stream_stream(wire.PROCESS)
    call = process(iter([b"\x0a\xff"]))

    with pytest.raises(grpc.RpcError):
        next(call)

    assert call.code() is grpc.StatusCode.INTERNAL
    assert "deserializing request" in call.details()
    assert node_rules.health == "SERVING"


@pytest.fixture
def run_settings(tmp_path: Path) -> RunSettings:
    """A run over events with large values and odd users, some of them rejected."""
    line = '{{"ts":"2026-01-01T00:00:00Z","type":"{}","user":"é😀","value":{}}}\n'
    path = tmp_path / "in.ndjson"
    path.write_bytes(
        b"".join(generate_events(1000, seed=1, users=50, malformed=0.05))
        + line.format("click", 2**53).encode() * 3
        + line.format("purchase", -(2**53)).encode() * 3
        + line.format("view", 2**53).encode() * 3
    )
    return RunSettings(
        workload=EVENTS,
        source=line_source(path),
        input=str(path),
        output=tmp_path / "result",
        rejects=tmp_path / "rejects",
        limits=BatchLimits(100),
    )


def outcome(report: RunReport, run: RunSettings) -> Any:
    """Return the parts of a run that must not depend on the rules' language."""
    assert run.rejects is not None
    counts = report.batches, report.records, report.rejections
    return run.output.read_bytes(), run.rejects.read_bytes(), counts


@pytest.mark.parametrize("batch_size", [1, 7, 100, 10_000])
def test_a_run_with_it_gives_what_the_monolith_gives(
    node_rules: Server,
    pipeline_stages: Mapping[str, Server],
    run_settings: RunSettings,
    batch_size: int,
) -> None:
    """Result, rejects and counts are the same at every batch size."""
    run = replace(run_settings, limits=BatchLimits(batch_size))
    addresses = {name: server.address for name, server in pipeline_stages.items()}
    expected = outcome(MonolithEngine().run(run), run)

    report = SplitEngine(addresses | {"rules": node_rules.address}).run(run)

    assert outcome(report, run) == expected


MADE = """
import {{ stage }} from "{rules}";
import {{ serve }} from "{stage}";

await serve({{ ...stage, {changes} }});
"""


class MakeStage(Protocol):
    """Serves the rules stage with some of its properties replaced."""

    def __call__(self, changes: str) -> Server:
        """Start a stage; ``changes`` are properties for `serve`, in JavaScript."""


@pytest.fixture
def make_stage(stage_server: StageServerFactory, tmp_path: Path) -> MakeStage:
    """Start a program that imports the example and replaces parts of its stage."""

    def make_stage(changes: str) -> Server:
        script = tmp_path / "made.mjs"
        script.write_text(
            MADE.format(
                stage=EXAMPLE / "stage.mjs",
                rules=EXAMPLE / "rules.mjs",
                changes=changes,
            )
        )
        return stage_server([NODE, str(script)], name="rules")

    return make_stage


def test_a_function_that_throws_fails_the_stream(make_stage: MakeStage) -> None:
    """The status names the batch and the error; the log and metadata have the stack."""
    server = make_stage('function: () => { throw new TypeError("Größe 9%25\\n"); }')

    call = server.stub.Process(iter([batch_of(3, ONE, first_record=41)]))
    with pytest.raises(grpc.RpcError):
        next(call)

    assert call.code() is grpc.StatusCode.INTERNAL
    assert call.details() == "batch 3, from record 41: TypeError: Größe 9%25"
    traceback = dict(call.trailing_metadata())[TRACEBACK_KEY].decode()
    assert traceback.startswith("TypeError: Größe 9%25\n\n    at ")
    assert "made.mjs" in traceback
    assert traceback.splitlines()[2] in server.logs
    assert server.health == "SERVING"


def test_a_function_may_be_async_and_reject_records(make_stage: MakeStage) -> None:
    """A rejection has a record number, a reason and an optional field."""
    server = make_stage(
        """function: async (events) => ({
          message: { type: [], value: [] },
          records: 0,
          rejections: [
            { record: 4, reason: "too_odd" },
            { record: 2n ** 53n, reason: "out_of_range", field: "value" },
          ],
        })"""
    )

    (reply,) = server.stub.Process(iter([batch_of(0, ONE)]))

    assert list(reply.rejections) == [
        Rejection(record=4, reason="too_odd"),
        Rejection(record=2**53, reason="out_of_range", field="value"),
    ]


def test_the_order_of_answers_can_be_replaced(make_stage: MakeStage) -> None:
    """`process` replaces it; here it leaves out the last reply."""
    server = make_stage(
        """process: async function* (requests, answer) {
          let reply;
          for await (const batch of requests) {
            if (reply) yield reply;
            reply = await answer(batch);
          }
        }"""
    )
    requests = [batch_of(number, ONE) for number in range(3)]

    replies = list(server.stub.Process(iter(requests)))

    assert replies == [expected(request) for request in requests[:2]]
