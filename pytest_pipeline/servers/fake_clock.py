"""A clock for tests of stages, which moves only when it is told to.

Importing this module needs grpcio-testing, which the ``test`` extra installs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import grpc_testing

from pipeline.clock import Lap, LapTimer
from pipeline.errors import UsageError

NS_PER_S = 1_000_000_000


class FakeClock:
    """A clock that moves only when `advance` is called, exact to the nanosecond.

    It can be moved from any thread, and so from inside a stage function.
    """

    def __init__(self) -> None:
        self._fake = grpc_testing.strict_fake_time(0.0)
        self._lock = threading.Lock()
        self._ns = 0

    @property
    def now_ns(self) -> int:
        """Nanoseconds that the clock has moved since it was made."""
        return self._ns

    def advance(self, seconds: float) -> None:
        """Move the clock; return after every deadline that it reaches has passed.

        Raises:
            UsageError: ``seconds`` is negative or not finite.
        """
        moved = nanoseconds("seconds", seconds)
        with self._lock:
            self._ns += moved
            now = self._ns
        self._fake.sleep_until(now / NS_PER_S)

    def stopwatch(self) -> LapTimer:
        """Start a stopwatch on this clock; the CPU time of its laps is 0.

        Moving the clock stands for time that passed, not for work that was done.
        """
        return _FakeStopwatch(self)

    def time(self) -> float:
        """Return `now_ns` in seconds."""
        return float(self._fake.time())

    def call_at(self, behavior: Callable[[], object], time: float) -> _ScheduledCall:
        """Call ``behavior`` in a new thread when the clock reaches ``time``."""
        call = _ScheduledCall(behavior)
        # Sums of seconds are slightly off; deadlines are kept to the nanosecond.
        self._fake.call_at(call, round(time * NS_PER_S) / NS_PER_S)
        return call


class _FakeStopwatch:
    """A stopwatch on a fake clock."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._ns = clock.now_ns

    def lap(self) -> Lap:
        """Return the time since the last call, or since the start."""
        now = self._clock.now_ns
        lap = Lap(now - self._ns, 0)
        self._ns = now
        return lap


class _ScheduledCall:
    """A call in the future that can be cancelled without a lock.

    A gRPC call that ends cancels its deadline while it holds its own lock. The future
    that grpc_testing returns takes the lock of the clock for that, which
    `FakeClock.advance` holds while deadlines take the locks of their calls: a deadlock.
    """

    def __init__(self, behavior: Callable[[], object]) -> None:
        self._behavior = behavior
        self._cancelled = False

    def cancel(self) -> None:
        """Drop the call."""
        self._cancelled = True

    def __call__(self) -> None:
        if not self._cancelled:
            self._behavior()


def nanoseconds(name: str, seconds: float) -> int:
    """Return ``seconds`` in whole nanoseconds.

    Raises:
        UsageError: They are negative or not finite; the message calls them ``name``.
    """
    if not 0 <= seconds < float("inf"):
        raise UsageError(f"{name} {seconds}: must be a number of seconds, not negative")
    return round(seconds * NS_PER_S)
