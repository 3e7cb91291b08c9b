"""What SIGINT (Ctrl-C), SIGTERM and SIGHUP do to a command.

The first one ends it with exit code 128 + number, once everything that it has started
or begun to write is gone. A result that is published is a success, so from then on
signals do nothing.

This module is imported first in a process, so it imports nothing of the package.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# Stopping the servers takes up to 5 s, and the sink has 2 s to discard its draft. Who
# sends a signal twice may be heard again only when that should be over.
_CLEANING_UP_S = 10.0
# Publishing is one fsync and one rename. A sink that takes longer may never answer.
_PUBLISHING_S = 5.0


class _State:
    """What this process does at the next signal."""

    #: The last signal that was heard.
    heard = signal.SIGINT
    #: Until when signals are ignored, by `time.monotonic`.
    ignored_until = 0.0
    #: Called at a signal. By default KeyboardInterrupt is raised wherever the main
    #: thread is.
    interrupt: Callable[[], None] | None = None


def end_at_signals() -> None:
    """Let SIGTERM and SIGHUP end the process as Ctrl-C does, by KeyboardInterrupt.

    A signal that the process was started to ignore, as by ``nohup``, stays ignored.
    """
    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def exit_code() -> int:
    """Return the exit code of a process that a signal has ended."""
    return 128 + _State.heard


def description() -> str:
    """Return in a word or two that a signal has ended the process."""
    if _State.heard == signal.SIGINT:
        return "interrupted"
    return f"ended by {_State.heard.name}"


def defer_interrupts() -> None:
    """Ignore signals for five seconds: the result is being published."""
    _State.ignored_until = time.monotonic() + _PUBLISHING_S


def ignore_interrupts() -> None:
    """Ignore signals until the process ends: the result is published."""
    # A handler in Python would be removed when the interpreter shuts down.
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def interrupting(interrupt: Callable[[], None]) -> Iterator[None]:
    """Call ``interrupt`` at a signal, instead of raising KeyboardInterrupt.

    It has an effect only in a process that has called `end_at_signals`.
    """
    _State.interrupt = interrupt
    try:
        yield
    finally:
        _State.interrupt = None


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold signals back until the block has ended, which must not take long.

    It has no effect outside the main thread, where Python handles no signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []

    def hold(number: int, _: FrameType | None) -> None:
        held.append(number)

    before = {
        number: handler
        for number in _ENDING
        if (handler := signal.getsignal(number)) not in (signal.SIG_IGN, None)
    }
    for number in before:
        signal.signal(number, hold)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if held:
            signal.raise_signal(held[0])


def _end(number: int, _: FrameType | None) -> None:
    now = time.monotonic()
    if now < _State.ignored_until:
        return
    _State.heard = signal.Signals(number)
    _State.ignored_until = now + _CLEANING_UP_S
    if _State.interrupt is None:
        raise KeyboardInterrupt
    _State.interrupt()
