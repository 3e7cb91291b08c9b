"""Report sections about the servers that a failed test used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pytest_pipeline.servers.handle import Server

_LOG_LINES = 20


def sections(servers: Iterable[Server]) -> Iterator[tuple[str, str]]:
    """Yield the title and text of each section.

    The first names the servers that died; one more section follows for each server that
    the test used, with the end of its log and its last messages.
    """
    used = [server for server in servers if server.used]
    for server in used:
        server.settle()
    died = [server for server in used if server.died]
    if died:
        yield (
            "pipeline: the likely cause",
            "\n".join(f"stage {server.name} died: {server.ending}" for server in died),
        )
    for server in used:
        tail = server.logs.splitlines()[-_LOG_LINES:]
        yield (
            f"stage {server.name} ({_state(server)})",
            (
                f"last lines of its log:\n{_block(tail)}\n"
                f"last batches:\n{_block(str(server.trace).splitlines())}"
            ),
        )


def exit_summaries(servers: Iterable[Server]) -> list[str]:
    """Return one line for each server that ended without being asked to."""
    return [
        f"stage {server.name} died: {server.ending}"
        for server in servers
        if server.used and server.died
    ]


def _state(server: Server) -> str:
    at = f"{server.kind} at {server.host.address}"
    return f"{at}, {server.ending or 'running'}"


def _block(lines: list[str]) -> str:
    return "\n".join(f"  {line}" for line in lines) or "  (none)"
