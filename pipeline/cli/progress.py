"""Progress on standard error, if it is a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text


@contextmanager
def progress() -> Iterator[Callable[[int], None]]:
    """Show the number of settled records; yield a function that updates it."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    line = _ProgressLine()
    with Live(get_renderable=line.show, console=console, transient=True):
        yield line.take


class _ProgressLine:
    """Stores the last count, which is cheap; rich draws it a few times a second."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._settled = 0

    def take(self, settled: int) -> None:
        self._settled = settled

    def show(self) -> Text:
        elapsed = time.monotonic() - self._start
        speed = self._settled / elapsed
        return Text(f"{self._settled:,} records, {speed:,.0f}/s, {elapsed:.0f} s")


class Schedule:
    """How far a plan has come, and an estimate of how long the rest takes.

    Args:
        total_s: The seconds that the whole plan is expected to take.
        clock: Returns seconds.
    """

    def __init__(
        self, total_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total_s = total_s
        self._clock = clock
        self._start_s = clock()
        self._done_s = 0.0

    def advance(self, expected_s: float) -> None:
        """Count a part of the plan as done, by the seconds expected for it."""
        self._done_s += expected_s

    @property
    def elapsed_s(self) -> float:
        """The seconds since the start."""
        return self._clock() - self._start_s

    @property
    def left_s(self) -> float:
        """The seconds left if the rest takes as much longer than expected."""
        pace = self.elapsed_s / self._done_s if self._done_s else 1.0
        return pace * (self._total_s - self._done_s)

    def __str__(self) -> str:
        return f"{self.elapsed_s:.0f} s elapsed, about {self.left_s:.0f} s left"


@contextmanager
def steps() -> Iterator[Callable[[str], None]]:
    """Show the current step; yield a function that sets it.

    It is drawn only when it changes, so that nothing runs during a measurement.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with Live(console=console, transient=True, auto_refresh=False) as live:
        yield lambda what: live.update(Text(what), refresh=True)
