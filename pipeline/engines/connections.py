"""The connections of a run to its stage servers, and to those that replace them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, suppress
from typing import Self

from pipeline.accounting import RunAccount
from pipeline.engines.calls import OnMessage, StageConnection
from pipeline.errors import StageError
from pipeline.transport.client import Channel
from pipeline.transport.health import check_health
from pipeline.transport.processes import StageServers

# The server that a thread is about to start is not there yet.
_KILL_AGAIN_S = 0.02


class Connections:
    """Connects to servers, and closes the connections when the context is left.

    Args:
        servers: Those that the run has started, and starts again if they are lost.
        channel_to: Returns a channel to a server, given its stage and its address.
        account: Of the run.
        on_message: Called for each batch that crosses a leg.
    """

    def __init__(
        self,
        servers: StageServers,
        channel_to: Callable[[str, str], Channel],
        account: RunAccount,
        on_message: OnMessage,
    ) -> None:
        self._servers = servers
        self._channel_to = channel_to
        self._account = account
        self._on_message = on_message
        self._channels = AsyncExitStack()

    def connect(self, stage: str, address: str) -> StageConnection:
        """Return a connection to the server at ``address``, healthy or not."""
        channel = self._channel_to(stage, address)
        self._channels.push_async_callback(channel.close)
        return StageConnection(
            stage,
            address,
            channel,
            self._account.stages[stage],
            lambda: self._servers.exit_summary(address),
            lambda: self._servers.kill(address),
            self._on_message,
        )

    async def reconnect(
        self, lost: StageConnection, batch: int | None, reason: str
    ) -> StageConnection:
        """Replace the server of a connection that is lost, and connect to the new one.

        A server that was started elsewhere is only connected to again.

        Args:
            lost: The connection.
            batch: Number of the oldest batch that the server has not answered or sent;
                None if it had none.
            reason: Why it is lost.

        Raises:
            StageError: It does not start, or nobody answers.
        """
        lost.account.lose(batch, reason)
        # It may have had a connection to a proxy or load balancer that is dead.
        await lost.channel.close()
        address = await replace_server(self._servers, lost.address)
        connection = self.connect(lost.stage, address)
        await check_all([connection])
        return connection

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channels.aclose()


async def check_all(connections: Iterable[StageConnection]) -> None:
    """Check that the servers answer.

    Raises:
        StageError: One does not. Of several, the first in order is named, not in time.
    """
    checks = await asyncio.gather(
        *(check_health(each.stage, each.address, each.channel) for each in connections),
        return_exceptions=True,
    )
    for failure in checks:
        if failure is not None:
            raise failure


async def replace_server(servers: StageServers, address: str) -> str:
    """Replace the server at ``address`` as `StageServers.replace` does.

    A server that is starting is killed if this is cancelled, so that nobody waits
    until it is ready. No server is started after that.
    """
    replacing = asyncio.ensure_future(asyncio.to_thread(servers.replace, address))
    try:
        return await asyncio.shield(replacing)
    except asyncio.CancelledError:
        while not replacing.done():
            servers.kill(address)
            await asyncio.wait([replacing], timeout=_KILL_AGAIN_S)
        with suppress(StageError):
            replacing.result()
        raise
