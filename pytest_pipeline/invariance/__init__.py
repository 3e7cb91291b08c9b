"""Check that results do not depend on how work is divided, with or without pytest.

::

    check_workload(workload_named("access_logs:ACCESS_LOGS"), data=log)

Stage functions are pure, and give the same for any partition of a stream. The states of
a result merge in any order and grouping, and a result restored from its state goes on
correctly. The split and the distributed engine give what the monolith gives.

`functions` and `comparison` check these properties for one `PartitionedStream`.
`search` looks for the smallest stream that breaks one. Importing this package needs
hypothesis.
"""

from __future__ import annotations

from pytest_pipeline.invariance.comparison import Outcome
from pytest_pipeline.invariance.engines import SplitStages
from pytest_pipeline.invariance.partitioned_stream import (
    InvarianceError,
    PartitionedStream,
)
from pytest_pipeline.invariance.search import (
    PROPERTIES,
    Property,
    check_workload,
    properties_of,
)

__all__ = [
    "PROPERTIES",
    "InvarianceError",
    "Outcome",
    "PartitionedStream",
    "Property",
    "SplitStages",
    "check_workload",
    "properties_of",
]
