"""Find how many iterations a record make a run CPU-bound."""

from __future__ import annotations

import math
from collections.abc import Callable

from pipeline.errors import PipelineError

#: A run is CPU-bound if the source, the stage functions and the sink take at least
#: this share of all CPU time at batch size 1.
CPU_BOUND_SHARE = 0.87

_FIRST_ITERATIONS = 5000
# The first run measures what an iteration costs, the others get above the share.
_RUNS = 5
# Aim this far above the share, because it varies between runs: 0 is at the share, 1 at
# all CPU time.
_AIM = 0.3


def calibrated_iterations(
    run: Callable[[int], float], share: float = CPU_BOUND_SHARE
) -> int:
    """Return iterations at which processing takes at least ``share`` of the CPU time.

    Args:
        run: Runs the split engine with that many iterations a record, at batch size 1,
            and returns the IPC share of the run.
        share: A fraction, from 0 to 1.

    Raises:
        PipelineError: The share is not reached within five runs.
    """
    aim = share + (1 - share) * _AIM
    iterations = _FIRST_ITERATIONS
    for _ in range(_RUNS):
        ipc_share = run(iterations)
        if 1 - ipc_share >= share:
            return iterations
        # The CPU time outside of processing does not depend on the iterations.
        iterations = math.ceil(
            iterations * (aim / (1 - aim)) * (ipc_share / (1 - ipc_share))
        )
    raise PipelineError(
        f"calibration: processing has {1 - ipc_share:.0%} of the CPU after {_RUNS} "
        f"runs, not {share:.0%}; is something else taking the machine?"
    )
