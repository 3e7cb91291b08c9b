"""The calibration finds iterations that make a run CPU-bound."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.tuning.calibration import CPU_BOUND_SHARE, calibrated_iterations


def runs_of(iteration_s: float, fixed_s: float, ipc_s: float) -> Callable[[int], float]:
    """Return a function from iterations to the IPC share, for these costs a record."""

    def run(iterations: int) -> float:
        return ipc_s / (iteration_s * iterations + fixed_s + ipc_s)

    return run


@given(st.floats(1e-9, 1e-6), st.floats(0, 1e-3), st.floats(1e-5, 1e-2))
def test_processing_takes_the_share_at_the_calibrated_iterations(
    iteration_s: float, fixed_s: float, ipc_s: float
) -> None:
    """For any costs, and without many more iterations than necessary."""
    run = runs_of(iteration_s, fixed_s, ipc_s)

    iterations = calibrated_iterations(run)

    assert 1 - run(iterations) >= CPU_BOUND_SHARE
    assert iterations == 5000 or 1 - run(iterations) < 0.95


def test_calibration_fails_if_the_share_is_not_reached() -> None:
    """The message contains the share of the last run."""
    with pytest.raises(PipelineError, match="60% of the CPU after 5 runs, not 87%"):
        calibrated_iterations(lambda _: 0.4)
