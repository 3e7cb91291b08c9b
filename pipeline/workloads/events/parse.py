"""The parse stage of `events`: JSON lines to events, or to rejections with a reason.

msgspec decodes nearly every line, straight into the fields: many in one call, or, where
one of them is odd, one by one. A line that msgspec refuses is read again by
`read_event`, which is slow but finds the reason, and may accept the line. The two agree
on every line that msgspec accepts.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import threading
from calendar import monthrange
from collections.abc import Iterator
from datetime import datetime
from types import UnionType
from typing import Annotated, Any, Literal, NoReturn, cast

import msgspec

from pipeline.line_ends import count_objects
from pipeline.stages import Output, Refused
from pipeline.v1.events_pb2 import (
    EVENT_TYPE_CLICK,
    EVENT_TYPE_PURCHASE,
    EVENT_TYPE_VIEW,
    Events,
    EventType,
)
from pipeline.v1.lines_pb2 import Lines

#: The largest magnitude of a value. Doubles hold every integer up to it.
MAX_VALUE = 2**53

#: How deep the JSON of a line may nest: an array in the object of the line is 2 deep.
#: Without a limit, it would depend on the language, version and stack of the reader.
MAX_DEPTH = 500

EVENT_TYPES: dict[str, EventType] = {
    "click": EVENT_TYPE_CLICK,
    "view": EVENT_TYPE_VIEW,
    "purchase": EVENT_TYPE_PURCHASE,
}

#: Every reason for which a line is refused. If several apply, the first one counts.
REASONS = (
    "line_too_long",
    "not_utf8",
    "blank_line",
    "malformed_json",
    "not_an_object",
    "missing_field",
    "wrong_type",
    "bad_timestamp",
    "unknown_type",
    "out_of_range",
)

_Int = Annotated[int, msgspec.Meta(ge=-MAX_VALUE, le=MAX_VALUE)]
_Float = Annotated[float, msgspec.Meta(ge=-MAX_VALUE, le=MAX_VALUE)]


class Event(msgspec.Struct, gc=False):
    """The fields of a line; ``ts`` is not validated."""

    ts: str
    type: Literal["click", "view", "purchase"]
    user: str
    value: _Int | _Float


_DECODER = msgspec.json.Decoder(Event)
_decode_line, _decode_lines = _DECODER.decode, _DECODER.decode_lines
_Timestamps = list[Annotated[datetime, msgspec.Meta(tz=True)]]

# What is made of so many bytes stays in the caches of a core. One line that is odd has
# so many read one by one.
_PIECE_BYTES = 64 * 1024


def parse(lines: Lines) -> Output[Events]:
    """Read every line as an event, or reject it."""
    text = lines.text  # a field of bytes is copied each time that it is read
    too_long = set(lines.too_long)
    columns = _Columns()
    refused: dict[int, Refused] = {}
    all_even = not too_long
    for piece in _pieces(text, len(text) if too_long else _PIECE_BYTES):
        events = _read_at_once(piece) if all_even else None
        if events is None:
            first = len(columns.ts) + len(refused)
            events, odd = _read_each(piece, too_long)
            refused |= {first + at: reason for at, reason in odd.items()}
            all_even = not odd  # they come in groups, or everywhere
        columns.add(events)
    rejections = [
        refused[position].rejection(lines.first_record + position)
        for position in sorted(refused)
    ]
    return Output(columns.message(), records=len(columns.ts), rejections=rejections)


class _Columns:
    """The fields of events by name."""

    def __init__(self) -> None:
        self.ts: list[str] = []
        self._types: list[EventType] = []
        self._users: list[str] = []
        self._values: list[float] = []

    def add(self, events: list[Event]) -> None:
        self.ts += [event.ts for event in events]
        self._types += [EVENT_TYPES[event.type] for event in events]
        self._users += [event.user for event in events]
        self._values += [event.value for event in events]

    def message(self) -> Events:
        values = cast("list[int]", self._values)
        try:
            return self._message(values)
        except TypeError:  # a value is a float
            return self._message([int(value) for value in values])

    def _message(self, values: list[int]) -> Events:
        return Events(ts=self.ts, type=self._types, user=self._users, value=values)


def _pieces(text: bytes, size: int) -> Iterator[bytes]:
    """Cut lines into pieces of whole lines, of up to ``size`` bytes or of one line.

    What follows the last LF is no line.
    """
    start, stop = 0, text.rfind(b"\n") + 1
    while start < stop:
        end = text.rfind(b"\n", start, start + size) + 1
        end = end or text.index(b"\n", start) + 1
        yield text[start:end]
        start = end


def _read_at_once(text: bytes) -> list[Event] | None:
    """Read lines in one call; return None if one may be no event.

    msgspec reads any number of objects, whatever white space is between them and in
    them. But if LF is found only between a ``}`` and a ``{`` there is one at least in
    each line, since no object has that inside. So as many objects as lines are one in
    each.
    """
    count = count_objects(text)
    if not count or not _is_utf8(text) or _any_is_deep(text):
        return None
    try:
        events = _decode_lines(text)
    except (msgspec.MsgspecError, RecursionError):
        return None
    if len(events) != count or not _are_timestamps([event.ts for event in events]):
        return None
    return events


def _read_each(
    text: bytes, too_long: set[int]
) -> tuple[list[Event], dict[int, Refused]]:
    """Read lines one by one; return events, and what was refused by position.

    Args:
        text: The lines; the last one ends with LF, too.
        too_long: Positions of those that were too long, and others.
    """
    texts = text.split(b"\n")
    del texts[-1]
    hidden = _hidden(text, texts)
    events, refused = _decode_each(texts, hidden, too_long & set(range(len(texts))))
    if not _are_timestamps([event.ts for event in events]):
        _check_each(events, refused, texts)
    return events, refused


def _hidden(text: bytes, texts: list[bytes]) -> list[int]:
    """Return the positions of the lines that msgspec would accept wrongly.

    They are not UTF-8 or nest too deep.
    """
    hidden: list[int] = []
    if not _is_utf8(text):
        hidden += [
            at
            for at, line in enumerate(texts)
            if not line.isascii() and not _is_utf8(line)
        ]
    if _any_is_deep(text):
        hidden += [
            at
            for at, line in enumerate(texts)
            if len(line) >= _DEEP and _nests_too_deep(line)
        ]
    return hidden


def _decode_each(
    texts: list[bytes], hidden: list[int], too_long: set[int]
) -> tuple[list[Event], dict[int, Refused]]:
    """Read lines; return events, and what was refused by position.

    Timestamps are not checked.
    """
    decodable = texts
    if hidden or too_long:
        decodable = texts.copy()
        for position in (*hidden, *too_long):
            decodable[position] = b""
    events: list[Event] = []
    refused: dict[int, Refused] = {}
    decoded = map(_decode_line, decodable)
    while True:
        try:
            # What comes before a line that raises is kept.
            events.extend(decoded)
        except (msgspec.MsgspecError, RecursionError):
            position = len(events) + len(refused)
            if position in too_long:
                refused[position] = Refused("line_too_long")
                continue
            try:
                events.append(read_event(texts[position]))
            except Refused as reason:
                refused[position] = reason
        else:
            return events, refused


def _check_each(
    events: list[Event], refused: dict[int, Refused], texts: list[bytes]
) -> None:
    """Refuse the events among these whose timestamps are wrong."""
    positions = [at for at in range(len(texts)) if at not in refused]
    timestamps = [event.ts for event in events]
    # From the end, so that those before keep their index.
    for index in reversed(_doubtful(timestamps, 0)):
        try:
            events[index] = read_event(texts[positions[index]])
        except Refused as reason:
            refused[positions[index]] = reason
            del events[index]


def _doubtful(timestamps: list[str], first: int) -> list[int]:
    """Return the indexes, from ``first``, of those that `_are_timestamps` refuses."""
    if _are_timestamps(timestamps):
        return []
    if len(timestamps) == 1:
        return [first]
    half = len(timestamps) // 2
    return [
        *_doubtful(timestamps[:half], first),
        *_doubtful(timestamps[half:], first + half),
    ]


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _are_timestamps(texts: list[str]) -> bool:
    """Check quickly whether all are RFC 3339; may return False wrongly, never True."""
    try:
        msgspec.convert(texts, _Timestamps)
    except msgspec.ValidationError:
        return False
    # msgspec also accepts an offset without a colon.
    others = [text for text in texts if text[-1] != "Z"]
    return not [text for text in others if text[-3] != ":"]


def read_event(line: bytes) -> Event:
    """Read one line, without LF and not too long, as an event.

    This function defines the format.

    Raises:
        Refused: The line is not an event.
    """
    fields = _read_object(line)
    for name, type_ in _FIELDS:
        if name not in fields:
            raise Refused("missing_field", name)
        if not _is_a(type_, fields[name]):
            raise Refused("wrong_type", name)
    if not is_rfc3339(fields["ts"]):
        raise Refused("bad_timestamp", "ts")
    if fields["type"] not in EVENT_TYPES:
        raise Refused("unknown_type", "type")
    if not -MAX_VALUE <= fields["value"] <= MAX_VALUE:
        raise Refused("out_of_range", "value")
    return Event(**{name: fields[name] for name, _ in _FIELDS})


_FIELDS = (("ts", str), ("type", str), ("user", str), ("value", int | float))


def _read_object(line: bytes) -> dict[str, Any]:
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise Refused("not_utf8") from None
    if not text.strip(" \t\r"):
        raise Refused("blank_line")
    try:
        fields = _load_json(text)
    except ValueError:
        raise Refused("malformed_json") from None
    if not isinstance(fields, dict):
        raise Refused("not_an_object")
    return fields


def _is_a(type_: type | UnionType, field: object) -> bool:
    if isinstance(field, bool) or not isinstance(field, type_):
        return False
    return not isinstance(field, str) or _is_text(field)


def _is_text(field: str) -> bool:
    """Return whether ``field`` has no lone surrogate, which JSON can escape."""
    try:
        field.encode()
    except UnicodeEncodeError:
        return False
    return True


def _load_json(text: str) -> Any:
    """Decode strict JSON, or raise ValueError.

    A line that nests too deep for what is left of this stack is decoded in a new
    thread, so that the outcome does not depend on the caller.
    """
    if _nests_too_deep(text.encode()):
        raise ValueError("nests too deep")
    try:
        return _strict_json.decode(text)
    except RecursionError:
        pass
    outcome: list[Any] = []

    def decode() -> None:
        with contextlib.suppress(RecursionError, ValueError):
            outcome.append(_strict_json.decode(text))

    thread = threading.Thread(target=decode)
    thread.start()
    thread.join()
    if not outcome:
        raise ValueError("nests too deep")
    return outcome[0]


def _any_is_deep(lines: bytes) -> bool:
    """Return whether a line is long enough to nest too deep; most batches have none."""
    start, last = 0, len(lines) - _DEEP
    while start < last:
        # A line that is not so long ends within so many bytes.
        start = lines.rfind(b"\n", start, start + _DEEP) + 1
        if not start:
            return True
    return False


def _nests_too_deep(text: bytes) -> bool:
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    for bracket in _STRING.sub(b"", text):
        depth += _DEPTH_STEPS.get(bracket, 0)
        if depth > MAX_DEPTH:
            return True
    return False


# The bytes that a line needs, without its LF, to nest too deep: a level takes two.
_DEEP = 2 * MAX_DEPTH + 1
# It also matches to the end of a text that lacks its quote, to take linear time.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_DEPTH_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def _parse_int(digits: str) -> float:
    # Python refuses to convert thousands of digits. 20 digits are out of range already.
    if len(digits) < 20:
        return int(digits)
    return -math.inf if digits[0] == "-" else math.inf


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_strict_json = json.JSONDecoder(parse_int=_parse_int, parse_constant=_refuse_constant)

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.\d+)?"
    r"(?:[Zz]|([+-])(\d\d):(\d\d))",
    re.ASCII,
)


def is_rfc3339(text: str) -> bool:
    """Return whether ``text`` is an RFC 3339 date-time.

    A leap second is valid at 23:59:60 UTC of any day.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        return False
    year, month, day, hour, minute, second, offset_hour, offset_minute = (
        int(group or 0) for group in match.group(1, 2, 3, 4, 5, 6, 8, 9)
    )
    if not 1 <= month <= 12 or hour > 23 or minute > 59:
        return False
    if offset_hour > 23 or offset_minute > 59:
        return False
    # calendar starts at year 1. Year 400 is a leap year as year 0 is.
    if not 1 <= day <= monthrange(year or 400, month)[1]:
        return False
    if second == 60:
        offset = offset_hour * 60 + offset_minute
        local = hour * 60 + minute
        utc = local + offset if match[7] == "-" else local - offset
        return utc % (24 * 60) == 23 * 60 + 59
    return second < 60
