"""The workload `events`: JSON lines to count, sum and average by type."""

from __future__ import annotations

from pipeline.stages import stage
from pipeline.workload import Workload
from pipeline.workloads.events.aggregate import TotalsByType, aggregate
from pipeline.workloads.events.parse import parse
from pipeline.workloads.events.rules import rules
from pipeline.workloads.lines import LINES

EVENTS = Workload(
    name="events",
    source=LINES,
    transforms=(stage(parse), stage(rules), stage(aggregate)),
    new_result=TotalsByType,
)

__all__ = ["EVENTS"]
