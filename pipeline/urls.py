"""Recognise the URLs of files, and keep their secrets out of messages."""

from __future__ import annotations

import re

# A scheme has two letters or more.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_USER = re.compile(r"(://)[^/\s]*@")
_QUERY = re.compile(r"(://[^\s?#]*[?#])\S*")


def is_url(path: str) -> bool:
    """Return whether an input or output is a URL, such as s3://bucket/key."""
    return _URL.match(path) is not None


def redacted(text: str) -> str:
    """Return ``text`` without users, passwords, queries and fragments of its URLs."""
    return _QUERY.sub(r"\1***", _USER.sub(r"\1***@", text))
