"""Waiting for the open calls of a channel."""

from __future__ import annotations

import threading

from pytest_pipeline.servers.trace import OpenCalls

LONG_S = 60.0


def test_waiting_ends_with_the_last_call() -> None:
    """And not with the first; the callback then runs too."""
    calls = OpenCalls()
    calls.begin()
    calls.begin()
    closed, idle = threading.Event(), threading.Event()
    calls.when_idle(closed.set)

    def wait() -> None:
        calls.wait_idle(LONG_S)
        idle.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    calls.end()
    assert not closed.is_set()
    assert not idle.is_set()

    calls.end()

    waiting.join(LONG_S)
    assert idle.is_set()
    assert closed.wait(LONG_S)


def test_waiting_for_a_call_that_never_ends_times_out() -> None:
    """Such as one whose replies are never read."""
    calls = OpenCalls()
    calls.begin()

    calls.wait_idle(0.0)

    calls.end()


def test_an_idle_channel_is_not_waited_for() -> None:
    """And the callback runs at once, in this thread."""
    calls = OpenCalls()
    done = []

    calls.wait_idle(LONG_S)
    calls.when_idle(lambda: done.append(threading.current_thread()))

    assert done == [threading.current_thread()]
