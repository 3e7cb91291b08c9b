"""The log of a server."""

from __future__ import annotations

import logging

from pipeline.cli.log import OneLineFormatter

FORGED = "x\n2026-01-01 parse ERROR forged\r\x1b[2K\u2028"


def test_a_log_line_cant_be_forged() -> None:
    """Control characters of a message are escaped; a traceback is indented."""
    error = ValueError(FORGED)
    record = logging.LogRecord(
        "name", logging.ERROR, "path", 1, "%s", (FORGED,), (ValueError, error, None)
    )
    first, *rest = OneLineFormatter("parse ").format(record).split("\n")

    assert first == r"parse x\n2026-01-01 parse ERROR forged\r\x1b[2K\u2028"
    assert rest
    assert all(line.startswith("    ") for line in rest)
    assert not any("\r" in line or "\x1b" in line for line in rest)
