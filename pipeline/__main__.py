"""The process of the command line: ``pipeline``, or ``python -m pipeline``."""

from __future__ import annotations

import contextlib
import gc
import sys
from typing import NoReturn

from pipeline import interrupts


def main() -> NoReturn:
    """Run the command line and exit, also if a signal ends it."""
    # Before anything else is imported, which takes a while.
    interrupts.end_at_signals()
    try:
        from pipeline.cli import main as run_command

        run_command()
    except KeyboardInterrupt:
        interrupts.ignore_interrupts()
        # The terminal may be gone, above all at SIGHUP.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(f"pipeline: {interrupts.description()}\n")
            sys.stderr.flush()
        sys.exit(interrupts.exit_code())
    finally:
        # A signal while the interpreter shuts down would be a traceback.
        interrupts.ignore_interrupts()
        # What is left ends with the process. To look through it for garbage would take
        # 0.1 s after a run on Dask.
        gc.freeze()


if __name__ == "__main__":
    main()
