"""What must not depend on how work is divided, for any workload and without pytest.

::

    check_workload(workload_named("access_logs:ACCESS_LOGS"), data=log)

A stage function gives the same for any cutting of its stream; the states of a result
merge in any order and grouping, are gone on from, and count no batch twice; the split
gives what the monolith gives. Importing this package needs hypothesis.
"""

from __future__ import annotations

from pytest_pipeline.invariance.case import Case, InvarianceError
from pytest_pipeline.invariance.engines import Outcome, SplitStages
from pytest_pipeline.invariance.search import (
    PROPERTIES,
    Property,
    check_workload,
    properties_of,
)

__all__ = [
    "PROPERTIES",
    "Case",
    "InvarianceError",
    "Outcome",
    "Property",
    "SplitStages",
    "check_workload",
    "properties_of",
]
