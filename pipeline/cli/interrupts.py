"""What Ctrl-C does while a command publishes its result, and after that.

Until then Ctrl-C ends the command with exit code 130, and earlier files are as they
were. A result that is published is a success, so from then on Ctrl-C does nothing.
"""

from __future__ import annotations

import signal
import time

# Publishing is one fsync and one rename. A sink that takes longer may never answer.
_PUBLISHING_S = 5.0


def defer_interrupts() -> None:
    """Ignore Ctrl-C for five seconds: the result is being published."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        return
    last = time.monotonic() + _PUBLISHING_S

    def interrupt(*_: object) -> None:
        if time.monotonic() > last:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)


def ignore_interrupts() -> None:
    """Ignore Ctrl-C until the process ends: the result is published."""
    # A handler in Python would be removed when the interpreter shuts down.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
