"""The bound on what is in flight."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from pipeline.engines.window import Window, WindowLimits

LIMITS = WindowLimits(batches=3, bytes=100)


def enters_at_once(window: Window, size: int) -> bool:
    """Return whether a batch enters without waiting."""
    attempt = window.enter(size)
    try:
        attempt.send(None)
    except StopIteration:
        return True
    attempt.close()
    return False


async def trial(window: Window, size: int) -> bool:
    """Return the same, inside a running loop."""
    return enters_at_once(window, size)


def entries(sizes: list[int]) -> list[bool]:
    """Try to enter batches one after the other into a new window."""
    window = Window(LIMITS)

    async def run() -> list[bool]:
        return [await trial(window, size) for size in sizes]

    return asyncio.run(run())


def test_the_window_is_bounded_in_batches() -> None:
    """The fourth of three has to wait, however small."""
    assert entries([1, 1, 1, 1]) == [True, True, True, False]


def test_the_window_is_bounded_in_bytes() -> None:
    """A batch that fits exactly enters, one byte more does not."""
    assert entries([60, 40]) == [True, True]
    assert entries([60, 41]) == [True, False]


def test_a_batch_over_the_byte_bound_goes_alone() -> None:
    """It enters an empty window and no other."""
    assert entries([1000, 1]) == [True, False]
    assert entries([1, 1000]) == [True, False]


def test_an_answer_lets_the_waiting_batch_in() -> None:
    """Whoever waits goes on as soon as the oldest batch is answered, not before."""

    async def run() -> tuple[bool, bool]:
        window = Window(LIMITS)
        await window.enter(90)
        waiting = asyncio.create_task(window.enter(20))
        await asyncio.sleep(0)
        before = waiting.done()
        window.leave()
        await waiting
        return before, waiting.done()

    assert asyncio.run(run()) == (False, True)


@given(st.lists(st.integers(1, 150), max_size=30))
def test_no_more_is_ever_in_flight_than_the_bounds_allow(sizes: list[int]) -> None:
    """For any batches, answered only when the sender is stuck."""

    async def run() -> None:
        window = Window(LIMITS)
        in_flight: list[int] = []
        for size in sizes:
            while not enters_at_once(window, size):
                window.leave()
                in_flight.pop(0)
            in_flight.append(size)
            assert len(in_flight) <= LIMITS.batches
            assert sum(in_flight) <= LIMITS.bytes or len(in_flight) == 1

    asyncio.run(run())
