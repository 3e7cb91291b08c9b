"""The parse stage of `events`, against a reference.

The reference is independent of the stage function. It uses the JSON decoder and the
calendar of the standard library.
"""

from __future__ import annotations

import json
import math
import re
from datetime import date
from importlib import import_module
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline import line_ends
from pipeline.line_ends import NativeLineEnds
from pipeline.v1.events_pb2 import Events, EventType
from pipeline.v1.lines_pb2 import Lines
from pipeline.workloads.events.parse import MAX_DEPTH, REASONS, is_rfc3339, parse
from pytest_pipeline import strategies

# The package has the function by this name.
parse_module = import_module("pipeline.workloads.events.parse")

Verdict = tuple[str, str] | tuple[str, str, str, int]
GOOD = '{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":1}'


def parse_lines(
    lines: list[bytes], first: int = 1, too_long: list[int] | None = None
) -> list[Verdict]:
    """Parse lines as one message; return an event or (reason, field) for each line."""
    output = parse(
        Lines(
            first_record=first,
            text=b"".join(line + b"\n" for line in lines),
            too_long=too_long or [],
        )
    )
    events: Events = output.message
    rows = iter(
        [
            (ts, EventType.Name(type_)[11:].lower(), user, value)
            for ts, type_, user, value in zip(
                events.ts, events.type, events.user, events.value, strict=True
            )
        ]
    )
    refused = {
        rejection.record: (rejection.reason, rejection.field)
        for rejection in output.rejections
    }
    assert output.records == len(events.ts)
    assert output.records + len(output.rejections) == len(lines)
    verdicts: list[Verdict] = [
        refused[first + position] if first + position in refused else next(rows)
        for position in range(len(lines))
    ]
    assert next(rows, None) is None
    return verdicts


def reference(line: bytes) -> Verdict:
    """Read one line by the documented format."""
    try:
        text = line.decode("utf-8", "strict")
    except UnicodeDecodeError:
        return ("not_utf8", "")
    if set(text) <= set(" \t\r"):
        return ("blank_line", "")
    try:
        fields = json.loads(text, parse_constant=fail, parse_int=lenient_int)
    except (ValueError, RecursionError):
        return ("malformed_json", "")
    if type(fields) is not dict:
        return ("not_an_object", "")
    return reference_fields(fields)


def reference_fields(  # noqa: PLR0911 - one for each verdict
    fields: dict[str, Any],
) -> Verdict:
    """Judge the fields of an object."""
    for name in ("ts", "type", "user", "value"):
        if name not in fields:
            return ("missing_field", name)
        wanted = (int, float) if name == "value" else (str,)
        value = fields[name]
        if type(value) not in wanted:
            return ("wrong_type", name)
        if type(value) is str and re.search("[\ud800-\udfff]", value):
            return ("wrong_type", name)
    if not reference_timestamp(fields["ts"]):
        return ("bad_timestamp", "ts")
    if fields["type"] not in {"click", "view", "purchase"}:
        return ("unknown_type", "type")
    value = fields["value"]
    if abs(value) == math.inf or abs(math.trunc(value)) > 2**53:
        return ("out_of_range", "value")
    return (fields["ts"], fields["type"], fields["user"], math.trunc(value))


def reference_timestamp(text: str) -> bool:
    """Judge an RFC 3339 timestamp by its grammar and by the calendar."""
    match = re.fullmatch(
        r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})"
        r"(\.[0-9]+)?([Zz]|[+-]([0-9]{2}):([0-9]{2}))",
        text,
    )
    if not match:
        return False
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    try:
        date(year + 400 if year == 0 else year, month, day)
    except ValueError:
        return False
    ahead, past = int(match[9] or 0), int(match[10] or 0)
    if hour > 23 or minute > 59 or second > 60 or ahead > 23 or past > 59:
        return False
    if second == 60:
        sign = -1 if match[8].startswith("-") else 1
        minutes = hour * 60 + minute - sign * (ahead * 60 + past)
        return minutes % 1440 == 1439
    return True


def fail(name: str) -> None:
    """Refuse NaN and Infinity, which the standard library accepts."""
    raise ValueError(name)


def lenient_int(digits: str) -> float:
    """Read any integer; thousands of digits count as infinite."""
    return int(digits) if len(digits) < 1000 else math.inf


@given(st.lists(strategies.event_lines(), max_size=8))
def test_every_line_is_read_as_the_reference_reads_it(lines: list[bytes]) -> None:
    """The verdict on a line does not depend on the other lines of its batch."""
    assert parse_lines(lines) == [reference(line) for line in lines]


#: What a decoder that reads several objects in one call may take for lines; and lines.
odd_pieces = st.sampled_from(
    [
        *(GOOD.encode() + b"\n", GOOD.encode(), b"\n", b" ", b"\r\n", b"{}", b"}\n{"),
        *(GOOD.encode()[:-1] + b',"x":\n', b"{}}\n", b'{"ts":\n', b"\xff", b"[" * 1001),
        GOOD.replace("Z", "+0000").encode() + b"\n",
    ]
)
TWO = GOOD.encode() * 2 + b"\n"


@given(text=st.lists(odd_pieces, max_size=12).map(b"".join), bytes_=st.integers(1, 300))
@example(text=TWO + b"\n", bytes_=300)
@example(text=TWO + GOOD.encode()[:-1] + b',"x":\n{}}\n', bytes_=300)
def test_lines_that_are_read_at_once_are_those_read_one_by_one(
    line_ends_in_c: NativeLineEnds, text: bytes, bytes_: int
) -> None:
    """Whatever is between the objects, and wherever the lines are cut into pieces."""
    lines = Lines(first_record=1, text=text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_ends, "NATIVE", None)
        one_by_one = parse(lines)
        patch.setattr(line_ends, "NATIVE", line_ends_in_c)
        patch.setattr(parse_module, "_PIECE_BYTES", bytes_)
        at_once = parse(lines)

    assert at_once == one_by_one


@given(strategies.valid_lines())
def test_valid_lines_are_events(line: bytes) -> None:
    """Key order, white space, escapes, repeats and other keys refuse nothing."""
    (verdict,) = parse_lines([line])

    assert len(verdict) == 4


@pytest.mark.parametrize(
    ("line", "reason", "field"),
    [
        (b"", "blank_line", ""),
        (b" \t\r", "blank_line", ""),
        (b"\xff" + GOOD.encode(), "not_utf8", ""),
        (b"\xef\xbb\xbf" + GOOD.encode(), "malformed_json", ""),
        (GOOD[:-1].encode(), "malformed_json", ""),
        (f"{GOOD},".encode(), "malformed_json", ""),
        (GOOD.replace(":1}", ":NaN}").encode(), "malformed_json", ""),
        (GOOD.replace('"u"', '"\t"').encode(), "malformed_json", ""),
        (b"[1]", "not_an_object", ""),
        (b"null", "not_an_object", ""),
        (b'"text"', "not_an_object", ""),
        (b"{}", "missing_field", "ts"),
        (GOOD.replace("type", "kind").encode(), "missing_field", "type"),
        (GOOD.replace("user", "who").encode(), "missing_field", "user"),
        (GOOD.replace("value", "amount").encode(), "missing_field", "value"),
        (GOOD.replace('"2026-01-01T00:00:00Z"', "0").encode(), "wrong_type", "ts"),
        (GOOD.replace('"click"', "null").encode(), "wrong_type", "type"),
        (GOOD.replace('"u"', "[]").encode(), "wrong_type", "user"),
        (GOOD.replace('"u"', '"\\ud800"').encode(), "wrong_type", "user"),
        (GOOD.replace(":1}", ':"1"}').encode(), "wrong_type", "value"),
        (GOOD.replace(":1}", ":true}").encode(), "wrong_type", "value"),
        (GOOD.replace("-01T", "-32T").encode(), "bad_timestamp", "ts"),
        (GOOD.replace("00Z", "00+0000").encode(), "bad_timestamp", "ts"),
        (GOOD.replace("click", "Click").encode(), "unknown_type", "type"),
        (GOOD.replace(":1}", ":9007199254740993}").encode(), "out_of_range", "value"),
        (GOOD.replace(":1}", ":-1e400}").encode(), "out_of_range", "value"),
        (GOOD.replace(":1}", f":{'9' * 5000}}}").encode(), "out_of_range", "value"),
    ],
)
def test_each_kind_of_bad_line_has_its_reason(
    line: bytes, reason: str, field: str
) -> None:
    """The reason and, where one is at fault, the field are those documented."""
    assert reason in REASONS
    assert parse_lines([line]) == [(reason, field)]


@pytest.mark.parametrize(
    ("number", "value"),
    [
        ("10.9", 10),
        ("-10.9", -10),
        ("-0.5", 0),
        ("1e1", 10),
        ("9007199254740992", 2**53),
        ("-9007199254740992", -(2**53)),
        ("9007199254740992.0", 2**53),
        ("1e-400", 0),
    ],
)
def test_values_are_truncated_toward_zero(number: str, value: int) -> None:
    """Fractions go, in either direction, and the bounds themselves are in range."""
    ((*_, read),) = parse_lines([GOOD.replace(":1}", f":{number}}}").encode()])

    assert read == value


def test_lines_that_were_too_long_are_rejected_by_position() -> None:
    """The other lines of the batch are read as usual."""
    good = GOOD.encode()

    verdicts = parse_lines([good, b"", good, b"x"], first=41, too_long=[1])

    assert verdicts[1] == ("line_too_long", "")
    assert verdicts[3] == ("malformed_json", "")
    assert [len(verdict) for verdict in verdicts] == [4, 2, 4, 2]


def test_what_is_left_of_a_line_that_was_too_long_is_not_read() -> None:
    """Another ingest may send its beginning, or a position where no line is."""
    good = GOOD.encode()

    verdicts = parse_lines([good, good, good], too_long=[1, 3])

    assert verdicts[1] == ("line_too_long", "")
    assert [len(verdict) for verdict in verdicts] == [4, 2, 4]


def test_rejections_come_by_ascending_record_number() -> None:
    """The numbers count from the first record of the batch."""
    text = b"\n".join([b"x", GOOD.encode(), b"", b"\xff", b"[]"]) + b"\n"

    output = parse(Lines(first_record=100, text=text))

    assert [rejection.record for rejection in output.rejections] == [100, 102, 103, 104]


@pytest.mark.parametrize("depth", [300, 499, 500, 600, 980, 1000, 5000, 100_000])
def test_the_verdict_on_nested_lines_does_not_depend_on_the_stack(depth: int) -> None:
    """A line nests 500 deep at most, also if the stack is nearly full."""
    line = GOOD[:-1].encode() + b',"x":' + b"[" * depth + b"]" * depth + b"}"
    good = ("2026-01-01T00:00:00Z", "click", "u", 1)

    def call_deep(frames: int) -> list[Verdict]:
        return call_deep(frames - 1) if frames else parse_lines([line])

    expected = [good] if depth < MAX_DEPTH else [("malformed_json", "")]
    assert call_deep(300) == parse_lines([line]) == expected


def test_brackets_in_text_do_not_nest() -> None:
    """A long text may hold any number of them."""
    line = GOOD[:-1].encode() + b',"x":"' + b'[{\\"' * 600 + b'"}'

    assert parse_lines([line]) == [("2026-01-01T00:00:00Z", "click", "u", 1)]


def test_a_long_text_that_does_not_end_is_read_in_linear_time() -> None:
    """In quadratic time, a line of the greatest length would take minutes."""
    line = b'{"x":"' + b"[" * 600 + b'\\"' * 500_000

    assert parse_lines([line]) == [("malformed_json", "")]


@given(st.one_of(strategies.timestamps(), strategies.bad_timestamps()))
def test_timestamps_are_those_of_rfc_3339(text: str) -> None:
    """The check agrees with the reference on good and bad timestamps."""
    assert is_rfc3339(text) == reference_timestamp(text)


@given(strategies.timestamps())
def test_the_timestamp_strategy_makes_timestamps(text: str) -> None:
    """The tests above need good timestamps."""
    assert is_rfc3339(text)
