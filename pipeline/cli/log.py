"""The format of the log of `pipeline serve`."""

from __future__ import annotations

import logging
from typing import Any

from pipeline.errors import without_controls

_INDENT = "    "


class OneLineFormatter(logging.Formatter):
    """Writes a record in one line, and a traceback in indented lines below it.

    What is logged may come from a client. No part of it may look like another record.

    Args:
        prefix: Format of what comes before the message.
    """

    def __init__(self, prefix: str) -> None:
        super().__init__(f"{prefix}%(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Return the first line."""
        return without_controls(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """Return the traceback, indented."""
        lines = super().formatException(ei).split("\n")
        return "\n".join(f"{_INDENT}{without_controls(line)}" for line in lines)
