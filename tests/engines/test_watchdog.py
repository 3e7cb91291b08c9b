"""A leg that waits too long for its server is told so; other waits do not count."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.engines.watchdog import Watchdog

TIMEOUT_S = 5.0


class FakeLeg:
    """A leg that waits for what the test says."""

    def __init__(self) -> None:
        self.waits_for: int | None = None
        self.overdues: list[float] = []

    def awaited(self) -> int | None:
        """Return what the test says."""
        return self.waits_for

    async def overdue(self, waited_s: float) -> None:
        """Note the call."""
        self.overdues.append(waited_s)


def looked(leg: FakeLeg, *waits: int | None) -> list[float]:
    """Look once for each wait, and return what the leg was told."""
    watchdog = Watchdog([leg], TIMEOUT_S)

    async def run() -> None:
        for leg.waits_for in waits:
            await watchdog.look()

    asyncio.run(run())
    return leg.overdues


# Looks within the timeout.
PERIODS = 10


@pytest.mark.parametrize(
    ("waits", "overdues"),
    [
        ([7] * PERIODS, 0),
        ([7] * (PERIODS + 1), 1),
        ([7] * (2 * PERIODS + 1), 2),
        ([7, None] * PERIODS, 0),
        ([7] * PERIODS + [8] * PERIODS, 0),
        ([None] * (2 * PERIODS), 0),
    ],
    ids=["not yet", "overdue", "still", "back-pressure", "progress", "idle"],
)
def test_only_an_uninterrupted_wait_for_the_same_is_overdue(
    waits: list[int | None], overdues: int
) -> None:
    """A reply, or a pause in which no reply is due, starts the wait again."""
    assert looked(FakeLeg(), *waits) == [TIMEOUT_S] * overdues


class BrokenLeg(FakeLeg):
    """A leg that fails when it is looked at."""

    def awaited(self) -> int | None:
        """Fail."""
        raise ZeroDivisionError("no look today")


def test_a_look_that_fails_ends_what_is_watched() -> None:
    """Otherwise nobody would notice a server that hangs from then on."""

    async def run() -> None:
        async with Watchdog([BrokenLeg()], timeout_s=0.01).watching():
            await asyncio.Event().wait()

    with pytest.raises(ZeroDivisionError, match="no look today"):
        asyncio.run(run())


def test_what_is_watched_may_fail_or_end_by_itself() -> None:
    """Its own exception is raised as it is, and no task is left."""

    async def run(*, fails: bool) -> int:
        async with Watchdog([FakeLeg()], TIMEOUT_S).watching():
            if fails:
                raise ZeroDivisionError("no luck")
        return len(asyncio.all_tasks())

    assert asyncio.run(run(fails=False)) == 1
    with pytest.raises(ZeroDivisionError, match="no luck"):
        asyncio.run(run(fails=True))
