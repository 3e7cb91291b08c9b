"""Strategies for lines and files of the events workload, valid and invalid."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")

_MAX_VALUE = 2**53
_FIELDS = ("ts", "type", "user", "value")

_digits = st.integers(0, 9).map(str)
_fraction = st.just("") | st.text("0123456789", min_size=1, max_size=12).map(
    lambda digits: f".{digits}"
)
_offset = st.sampled_from(["Z", "z", "+00:00", "-00:00", "+05:30", "-23:59", "+23:59"])


def evenly(*strategies: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """Choose each strategy equally often.

    ``one_of`` (``|``) flattens nested alternatives, so that a strategy with many
    alternatives would be chosen nearly every time.
    """
    return st.sampled_from(strategies).flatmap(lambda strategy: strategy)


def timestamps() -> st.SearchStrategy[str]:
    """Generate RFC 3339 timestamps of any year, precision, offset and separator."""
    return st.builds(
        lambda moment, separator, fraction, offset: (
            f"{moment:%Y-%m-%d}{separator}{moment:%H:%M:%S}{fraction}{offset}".rjust(
                len("2000-01-01T00:00:00") + len(fraction) + len(offset), "0"
            )
        ),
        st.datetimes(),
        st.sampled_from("Tt "),
        _fraction,
        _offset,
    ) | st.just("2016-12-31T23:59:60Z")


def bad_timestamps() -> st.SearchStrategy[str]:
    """Generate text that is not an RFC 3339 timestamp, much of it nearly one."""
    return st.sampled_from(
        [
            "",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00Z",
            "2026-01-01T00:00:00+0000",
            "2026-01-01T00:00:00+00",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00,5Z",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:61Z",
            "2026-01-01T12:00:60Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "20260101T000000Z",
            "2026-01-01_00:00:00Z",
            " 2026-01-01T00:00:00Z",
            "2026-01-01T00:00:00Z ",
            "२०२६-01-01T00:00:00Z",
            "1767225600",
        ]
    ) | st.text(max_size=25).filter(lambda text: "Z" not in text and "+" not in text)


def numbers() -> st.SearchStrategy[str]:
    """Generate JSON numbers whose truncation is at most 2^53 in magnitude."""
    return (
        st.integers(-_MAX_VALUE, _MAX_VALUE).map(str)
        | st.integers(-50, 50).map(str)
        | st.floats(-float(_MAX_VALUE), float(_MAX_VALUE)).map(repr)
        | st.sampled_from(
            ["-0", "0.0", "-0.5", "9.999", "1e1", "1E+1", "1e-400", "10.0"]
        )
    )


def big_numbers() -> st.SearchStrategy[str]:
    """Generate JSON numbers beyond 2^53 in magnitude, some beyond any double."""
    return st.integers(_MAX_VALUE + 1, 10**30).map(str) | st.sampled_from(
        [
            str(-_MAX_VALUE - 1),
            "1e400",
            "-1e400",
            "1e16",
            "9" * 5000,
            "-" + "9" * 400,
            "18446744073709551616",
        ]
    )


def json_values(max_leaves: int = 8) -> st.SearchStrategy[str]:
    """Generate JSON texts of any value, with escapes and non-ASCII text among them."""
    return st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**25), 10**25)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        ),
        max_leaves=max_leaves,
    ).flatmap(lambda value: st.booleans().map(lambda ascii_: _dump(value, ascii_)))


def valid_lines() -> st.SearchStrategy[bytes]:
    """Generate valid events: any key order, white space, repeated and extra keys."""
    return _objects(
        {
            "ts": timestamps().map(_dump),
            "type": st.sampled_from(["click", "view", "purchase"]).map(_dump),
            "user": (st.text(max_size=12) | st.sampled_from(_USERS)).flatmap(
                lambda user: st.booleans().map(lambda ascii_: _dump(user, ascii_))
            ),
            "value": numbers(),
        }
    )


def ordinary_lines() -> st.SearchStrategy[bytes]:
    """Generate events that the rules keep, as programs write them."""
    return st.builds(
        lambda type_, value: (
            b'{"ts":"2026-01-01T00:00:00Z","type":"%b","user":"u","value":%d}'
            % (type_, value)
        ),
        st.sampled_from([b"click", b"purchase"]),
        st.integers(10, 2**53),
    )


def invalid_lines() -> st.SearchStrategy[bytes]:
    """Generate lines that are rejected, for any of the reasons."""
    return (
        st.binary(max_size=20).filter(lambda line: b"\n" not in line)
        | st.sampled_from(_MALFORMED)
        | json_values().map(str.encode)
        | _objects_with_a_fault()
        | valid_lines().map(lambda line: line[:-1])
        | valid_lines().map(lambda line: b"\xff" + line)
        | valid_lines().map(lambda line: b"\xef\xbb\xbf" + line)
        | valid_lines().map(lambda line: line + line)
    )


def event_lines() -> st.SearchStrategy[bytes]:
    """Generate valid and invalid lines equally often, without line end."""
    return evenly(valid_lines(), invalid_lines())


def overlong_lines(max_line_bytes: int) -> st.SearchStrategy[bytes]:
    """Generate lines of ``max_line_bytes`` plus 1 to 64 bytes, and longer ones."""
    return st.builds(
        lambda line, over: line.ljust(max_line_bytes + over),
        event_lines(),
        st.integers(1, 64),
    )


def event_files(max_line_bytes: int | None = None) -> st.SearchStrategy[bytes]:
    """Generate files whose lines end with LF or CR LF; the last end may be missing.

    Args:
        max_line_bytes: if given, about a third of the lines are longer than this.
    """
    one = event_lines()
    if max_line_bytes is not None:
        one = evenly(one, one, overlong_lines(max_line_bytes))
    lines = st.lists(st.tuples(one, st.sampled_from([b"\n", b"\r\n"])), max_size=20)
    return st.builds(
        lambda rows, has_end: (
            b"".join(line + end for line, end in rows)
            if has_end
            else b"".join(line + end for line, end in rows).removesuffix(b"\n")
        ),
        lines,
        st.booleans(),
    )


_USERS = ["", " u ", "\tu\n", "\ufeffu", 'a\0b"\\/\u2028😀', "U", "u\u0301", "ú"]

_MALFORMED = [
    b"",
    b" ",
    b"\t\r",
    b"\x00",
    b"{",
    b"}",
    b"nul",
    b"NaN",
    b"[1,]",
    b'{"a":1,}',
    b"{'a':1}",
    b'{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":NaN}',
    b'{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":Infinity}',
    b'{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":01}',
    b'{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":1.}',
    b'{"ts":"2026-01-01T00:00:00Z","type":"click","user":"\\q","value":1}',
    b'{"ts":"2026-01-01T00:00:00Z","type":"click","user":"\\ud800","value":1}',
    b'{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":1,"x":"\\ud800"}',
    b'{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":1,"x":"\t"}',
    b'{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":1,"x":"\xc3"}',
    b'{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":1,"x":'
    + b"[" * 100_000
    + b"]" * 100_000
    + b"}",
    b'{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":1,"x":'
    + b"[" * 300
    + b"]" * 300
    + b"}",
]


def _objects_with_a_fault() -> st.SearchStrategy[bytes]:
    ok: dict[str, st.SearchStrategy[str]] = {
        "ts": timestamps().map(_dump),
        "type": st.sampled_from(["click", "view", "purchase"]).map(_dump),
        "user": st.text(max_size=5).map(_dump),
        "value": numbers(),
    }
    faults: dict[str, st.SearchStrategy[str]] = {
        "ts": bad_timestamps().map(_dump) | json_values(),
        "type": st.sampled_from(["Click", "", "buy"]).map(_dump) | json_values(),
        "user": json_values(),
        "value": big_numbers() | json_values(),
    }
    missing = [
        _objects({name: value for name, value in ok.items() if name != left_out})
        for left_out in ok
    ]
    wrong = [_objects({**ok, name: fault}) for name, fault in faults.items()]
    several = _objects({**ok, **faults})
    return st.one_of(*missing, *wrong, several)


def _objects(fields: dict[str, st.SearchStrategy[str]]) -> st.SearchStrategy[bytes]:
    """Generate JSON objects of these fields in any order, with other keys between.

    Sometimes a field comes twice; the last one counts.
    """
    known = st.fixed_dictionaries(fields).map(lambda drawn: list(drawn.items()))
    # Hypothesis also draws strings that it has found in the source, such as "user".
    other_keys = st.text(max_size=4).filter(lambda key: key not in _FIELDS)
    others = st.lists(st.tuples(other_keys, json_values()), max_size=2)
    repeated = st.lists(
        st.one_of(*(st.tuples(st.just(name), text) for name, text in fields.items())),
        max_size=1,
    )
    return st.builds(
        _object,
        st.tuples(known, others, repeated).flatmap(
            lambda parts: st.permutations([pair for part in parts for pair in part])
        ),
        st.sampled_from(["", " ", "\t", " \r"]),
    )


def _object(pairs: list[tuple[str, str]], space: str) -> bytes:
    inside = f",{space}".join(f"{_dump(name)}{space}:{text}" for name, text in pairs)
    return f"{space}{{{inside}}}{space}".encode(errors="replace")


def _dump(value: Any, ascii_: bool = True) -> str:
    return json.dumps(value, ensure_ascii=ascii_)
