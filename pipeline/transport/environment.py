"""How this project's own processes set gRPC and numeric libraries up."""

from __future__ import annotations

from collections.abc import MutableMapping

# gRPC's older poller hands a message to Python with fewer thread switches than its
# event engine. Measured by benchmarks/poller.py: 1.3 times the throughput at batch
# size 1, 1.25 times at 100, 1.2 times at 1,000.
_GRPC = {
    "GRPC_EXPERIMENTS": "-event_engine_client,-event_engine_listener",
    # What matters comes as a status; the library's own log lines go to stderr.
    "GRPC_VERBOSITY": "NONE",
    # The processes are spawned, never forked, and the support costs every call.
    "GRPC_ENABLE_FORK_SUPPORT": "false",
}


# One process a stage is the parallelism; threads of a stage would take the cores from
# the others.
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


def set_defaults(environment: MutableMapping[str, str]) -> None:
    """Set up gRPC for throughput, and numeric libraries for one thread.

    What the user has set already stays. Takes effect in a process that has imported
    neither grpc nor such a library yet.
    """
    for name, value in (_GRPC | _ONE_THREAD).items():
        environment.setdefault(name, value)
