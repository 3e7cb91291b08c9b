"""Payloads that are unusual, and others that are broken."""

from __future__ import annotations

from google.protobuf.message import Message

#: Field 1,000 in the wire format, as text and as a number; no message has that field.
UNKNOWN_FIELDS = b"\xc2\x3e\x05later" + b"\xc8\x3e\x07"

#: A field that claims ten bytes and has one.
UNDECODABLE = b"\x0a\x0a\x01"

#: The URL of a type that nobody takes.
UNKNOWN_TYPE = "type.googleapis.com/nobody.knows.This"


def unusual_type_urls(message_type: type[Message]) -> tuple[str, str]:
    """Return URLs of a type that few languages write, and all must read."""
    name = message_type.DESCRIPTOR.full_name
    return f"/{name}", f"types.example.com/deeper/{name}"
