"""How many iterations make a run CPU-bound."""

from __future__ import annotations

import math
from collections.abc import Callable

from pipeline.errors import PipelineError

#: What "CPU-bound" means here: the share of all CPU that is spent in the source, the
#: stage functions and the sink, at batch size 1.
CPU_BOUND_SHARE = 0.87

_FIRST_ITERATIONS = 5000
# One run to learn what an iteration costs, and a few to get above the share.
_RUNS = 5
# Aim this far past the mark, because no two runs have the same share.
_AIM = 0.3


def calibrated_iterations(
    run: Callable[[int], float], share: float = CPU_BOUND_SHARE
) -> int:
    """Return iterations at which processing has at least ``share`` of the CPU.

    ``run`` runs the split at so many iterations a record and batch size 1, and returns
    the IPC share of that run. Raises PipelineError where a few runs do not get there.
    """
    aim = share + (1 - share) * _AIM
    iterations = _FIRST_ITERATIONS
    for _ in range(_RUNS):
        ipc_share = run(iterations)
        if 1 - ipc_share >= share:
            return iterations
        # What is not processing does not depend on the iterations.
        iterations = math.ceil(
            iterations * (aim / (1 - aim)) * (ipc_share / (1 - ipc_share))
        )
    raise PipelineError(
        f"calibration: processing has {1 - ipc_share:.0%} of the CPU after {_RUNS} "
        f"runs, not {share:.0%}; is something else taking the machine?"
    )
