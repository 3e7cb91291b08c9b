"""Have the sink publish the result, and find out whether it has if it is lost then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from pipeline.errors import LostStageError


async def commit(
    reply: Awaitable[object], output: Path, end_sink: Callable[[], bool]
) -> LostStageError | None:
    """Await the sink's reply to a commit.

    A sink may be lost after it has published and before its reply arrives. A sink of
    this run is ended then, so that it publishes nothing later, and the output file
    tells.

    Args:
        reply: Sends the commit when it is awaited, and returns when the sink replies.
        output: The file that the sink publishes.
        end_sink: Ends the sink's server and waits until it is gone. Returns False if
            this run has not started it.

    Returns:
        Why the sink is lost, which has published; None if it has replied.

    Raises:
        LostStageError: The sink is lost and has published nothing, or it was started
            elsewhere and nobody here can tell.
    """
    before = _identity(output)
    try:
        await reply
    except LostStageError as error:
        if not await asyncio.to_thread(end_sink):
            raise LostStageError(
                f"{error}; it may have published {output} before, so check its date"
            ) from error
        if _identity(output) == before:
            raise
        return error
    return None


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what another file at that path would differ in; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns
