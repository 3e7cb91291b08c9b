"""Any bytes, given to parse and to the wire: every record is accounted for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.transport import wire
from pipeline.v1.lines_pb2 import Lines
from pipeline.v1.pipeline_pb2 import Batch
from pipeline.workloads.events.parse import parse
from tests.proof.fuzzing import check, fuzz_lines, fuzz_messages

GOOD = b'{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":10}'


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good line with some bytes replaced."""
    start = draw(st.integers(0, len(GOOD)))
    end = draw(st.integers(start, len(GOOD)))
    return GOOD[:start] + draw(st.binary(max_size=12)) + GOOD[end:]


lines = st.lists(
    st.one_of(st.binary(max_size=80), damaged()).map(lambda b: b.replace(b"\n", b" ")),
    min_size=1,
    max_size=20,
)


@given(lines)
def test_parse_accounts_for_every_line(texts: list[bytes]) -> None:
    """A line is an event or a rejection with a known reason and its own number."""
    text = b"".join(line + b"\n" for line in texts)
    output = parse(Lines(first_record=1, text=text))

    check(output, len(texts))


@given(st.binary(max_size=200))
def test_a_payload_of_any_bytes_is_decoded_or_refused(value: bytes) -> None:
    """What is no message is refused as such, and nothing else is raised."""
    request = Batch()
    wire.pack(Lines(), into=request.payload)
    request.payload.value = value
    try:
        message = wire.unpack(request.payload, Lines)
    except wire.PayloadError:
        return
    parse(message)


def test_mutated_lines_are_accounted_for_and_change_no_other() -> None:
    """``python -m tests.proof.fuzzing`` gives a million of them."""
    outcomes = fuzz_lines(20_000, seed=1)

    assert outcomes.total() == 20_000
    assert {"event", "malformed_json", "not_utf8"} < set(outcomes)


def test_mutated_messages_are_decoded_or_refused() -> None:
    """Nothing else is raised."""
    outcomes = fuzz_messages(20_000, seed=1)

    assert outcomes.total() == 20_000
    assert outcomes["parsed"]
