"""Guess from its first bytes what a file is that holds no records."""

from __future__ import annotations

_MAGIC = {
    b"PK\x03\x04": "a zip archive",
    b"BZh": "bzip2; decompress it first",
    b"\xfd7zXZ\x00": "xz; decompress it first",
    b"\x1f\x8b": "gzip inside of gzip",
    b"PAR1": "Parquet",
    b"Obj\x01": "Avro",
    b"ARROW1": "Arrow",
    b"SQLite format 3\x00": "an SQLite database",
    b"%PDF": "PDF",
    b"\xff\xfe": "UTF-16 text; convert it to UTF-8",
    b"\xfe\xff": "UTF-16 text; convert it to UTF-8",
}
_STARTS = {
    "{": "",
    "<": "XML or HTML",
    "[": "a JSON array; write one object a line",
}
_SEPARATORS = {",": "CSV", ";": "CSV", "\t": "tab-separated values"}


def looks_like(head: bytes) -> str:
    """Return what ``head``, the first bytes of a file, looks like.

    It is empty if nothing can be said, such as of JSON lines.
    """
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return name
    if b"\0" in head:
        return "binary data"
    return _text_looks_like(head.decode(errors="replace"))


def _text_looks_like(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return ""
    if lines[0] == "{":
        return "indented JSON; write one object a line"
    for start, name in _STARTS.items():
        if lines[0].startswith(start):
            return name
    # The last line may be cut.
    whole = lines if text.endswith("\n") else lines[:-1] or lines
    for separator, name in _SEPARATORS.items():
        counts = {line.count(separator) for line in whole}
        if len(counts) == 1 and counts != {0}:
            return name
    return "text that is no JSON"
