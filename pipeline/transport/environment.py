"""Set up our own processes: gRPC, numeric libraries and the allocator."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from contextlib import suppress

from pipeline.transport.allocator import keep_freed_memory

# gRPC's older poller hands a message to Python with fewer thread switches than its
# event engine. Measured by benchmarks/process_settings.py: 1.3 times the throughput at
# batch size 1, 1.25 times at 100, 1.2 times at 1,000.
_GRPC = {
    "GRPC_EXPERIMENTS": "-event_engine_client,-event_engine_listener",
    # Errors are reported as statuses; gRPC's own log lines would go to standard error.
    "GRPC_VERBOSITY": "NONE",
    # Our processes are spawned, never forked, and fork support makes each call slower.
    "GRPC_ENABLE_FORK_SUPPORT": "false",
}


# Stages run in parallel as processes; more threads in one would take cores from others.
_ONE_THREAD = dict.fromkeys(
    (
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
    ),
    "1",
)


def configure_process() -> None:
    """Set this process up for throughput, before gRPC or a numeric library is imported.

    What the user has set in the environment stays.
    """
    set_defaults(os.environ)
    keep_freed_memory()
    _wait_for_turns()


def set_defaults(environment: MutableMapping[str, str]) -> None:
    """Set gRPC up for throughput and numeric libraries for one thread.

    Variables that are set already are left as they are.

    Args:
        environment: The environment of a process to be started.
    """
    for name, value in (_GRPC | _ONE_THREAD).items():
        environment.setdefault(name, value)


def _wait_for_turns() -> None:
    """Let this process, when it wakes up, wait until a core is free.

    By default, a message that reaches a server often interrupts whoever sent it, which
    could have sent more. So each message costs task switches. Measured by
    benchmarks/process_settings.py.

    Threads and processes that this one starts do so, too. A policy that the user has
    chosen stays.
    """
    if hasattr(os, "SCHED_BATCH") and os.sched_getscheduler(0) == os.SCHED_OTHER:
        # A sandbox may forbid it.
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
