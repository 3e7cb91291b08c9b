"""What the report of a test that failed says of the servers it has used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pytest_pipeline.servers.handle import Server

_LOG_LINES = 20


def sections(servers: Iterable[Server]) -> Iterator[tuple[str, str]]:
    """Yield title and text of each section: first who died, then one a server."""
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
    """Say of each server that died without being asked to how it ended."""
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
