"""What a file looks like whose records were all rejected."""

from __future__ import annotations

import pytest

from pipeline.looks import looks_like


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"a,b,c\n1,2,3\n4,5", "CSV"),
        (b"a;b\n1,5;2\n", "CSV"),
        (b"a\tb\n1\t2\n", "tab-separated values"),
        (b'[\n  {"ts": 1}\n]\n', "a JSON array; write one object a line"),
        (b'{\n  "ts": 1\n}\n', "indented JSON; write one object a line"),
        (b'{"other": 1}\n', ""),
        (b"", ""),
        (b"  \n", ""),
        (b"<?xml version='1.0'?>", "XML or HTML"),
        (b"PK\x03\x04rest", "a zip archive"),
        (b"PAR1rest", "Parquet"),
        ("{}".encode("utf-16"), "UTF-16 text; convert it to UTF-8"),
        (b"\x7fELF\0\0", "binary data"),
        (b"Dear reader,\nhello\n", "text that is no JSON"),
    ],
)
def test_a_format_is_named(head: bytes, what: str) -> None:
    """By its first bytes; nothing is said of JSON lines."""
    assert looks_like(head) == what
