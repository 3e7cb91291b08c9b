"""The workload `mixed`: events and work items in one stream, with both results."""

from __future__ import annotations

from pipeline.stages import stage
from pipeline.workload import Workload
from pipeline.workloads.mixed.source import MIXED_RECORDS, mixed_source
from pipeline.workloads.mixed.stages import MixedResult, aggregate, parse, rules

MIXED = Workload(
    name="mixed",
    source=MIXED_RECORDS,
    transforms=(stage(parse), stage(rules), stage(aggregate)),
    new_result=MixedResult,
)

__all__ = ["MIXED", "mixed_source"]
