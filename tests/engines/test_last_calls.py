"""Calls that are open when a run fails end before the event loop closes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest
from grpc_health.v1.health_pb2 import HealthCheckResponse

from pipeline.engines import split
from pipeline.engines.base import RunSettings
from pipeline.engines.split import SplitEngine
from pipeline.errors import StageError
from pipeline.transport import workarounds
from pipeline.workloads.events import EVENTS
from tests.engines.conftest import SettingsFor
from tests.engines.fake_calls import FakeCall


async def turns(number: int) -> None:
    """Let the event loop run so many iterations."""
    for _ in range(number):
        await asyncio.sleep(0)


class FakeChannel:
    """A channel with one call, which ends after the channel has closed.

    Its server is not ready, and reports that after so many iterations of the loop.
    """

    def __init__(self, health_turns: int, end: Callable[[], Awaitable[None]]) -> None:
        #: Whether its server has answered before it was closed.
        self.checked = False
        self.last: asyncio.Task[None] | None = None
        self._health_turns = health_turns
        self._end = end

    async def close(self) -> None:
        """Close, and leave the call to its end."""
        self.last = asyncio.ensure_future(self._end())

    def call(self, _: str) -> FakeCall:
        """Return a health check."""

        async def reply() -> bytes:
            await turns(self._health_turns)
            self.checked = self.last is None
            status = HealthCheckResponse.NOT_SERVING
            return HealthCheckResponse(status=status).SerializeToString()

        return FakeCall(reply)


def fails(
    settings: RunSettings,
    channels: Mapping[str, FakeChannel],
    patch: pytest.MonkeyPatch,
) -> str:
    """Run over channels to the stages; return why the run has failed."""
    patch.setattr(split, "GrpcChannel", lambda name, _: channels[name])
    engine = SplitEngine({name: name for name in EVENTS.stage_names})
    with pytest.raises(StageError) as raised:
        engine.run(settings)
    return str(raised.value)


def test_calls_end_before_the_event_loop_closes(
    settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are not cancelled, although they end after the run has failed."""
    channels = {name: FakeChannel(0, lambda: turns(5)) for name in EVENTS.stage_names}

    fails(settings_for(b""), channels, monkeypatch)

    for channel in channels.values():
        assert channel.last
        assert not channel.last.cancelled()


def test_a_call_that_never_ends_holds_up_no_run(
    settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is cancelled after a moment."""
    monkeypatch.setattr(workarounds, "_WAIT_FOR_CALLS_S", 0.01)

    async def never() -> None:
        await asyncio.Event().wait()

    channels = {name: FakeChannel(0, never) for name in EVENTS.stage_names}

    fails(settings_for(b""), channels, monkeypatch)

    for channel in channels.values():
        assert channel.last
        assert channel.last.cancelled()


def test_the_first_stage_that_is_not_ready_is_named(
    settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First in the order of the stages, although a later one answers sooner."""
    names = EVENTS.stage_names
    channels = {
        name: FakeChannel(len(names) - place, lambda: turns(0))
        for place, name in enumerate(names)
    }

    message = fails(settings_for(b""), channels, monkeypatch)

    assert message == "stage ingest: the server at ingest is not ready"


def test_every_health_check_ends(
    settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the channels close, though the first to end has failed."""
    channels = {
        name: FakeChannel(place, lambda: turns(0))
        for place, name in enumerate(EVENTS.stage_names)
    }

    fails(settings_for(b""), channels, monkeypatch)

    assert all(channel.checked for channel in channels.values())
