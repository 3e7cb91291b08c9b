"""What the tests of ratios share: a machine, and a measured ratio."""

from __future__ import annotations

from pytest_pipeline.measure.ratios.baseline import Provenance, Ratio
from pytest_pipeline.measure.ratios.judging import MeasuredRatio
from pytest_pipeline.measure.results import Machine

MADE_ON = Provenance(
    "x86_64", Machine("Linux 6", "a processor", 2, "CPython 3.11.7", {"grpcio": "1.80"})
)


def found(
    low: float, value: float, high: float, noise_floor: float = 1.0
) -> MeasuredRatio:
    """Return a ratio as measured in twelve rounds."""
    return MeasuredRatio(
        Ratio(low, value, high), noise_floor, 12, {"split": 12_345.678}
    )
