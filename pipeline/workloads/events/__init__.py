"""The workload `events`: JSON lines to count, sum and average by type."""

from __future__ import annotations

from pipeline.stages import cut_columns, stage
from pipeline.workload import Workload
from pipeline.workloads.events.aggregate import TotalsByType, aggregate
from pipeline.workloads.events.parse import parse
from pipeline.workloads.events.rules import rules
from pipeline.workloads.lines import LINES

EVENTS = Workload(
    name="events",
    source=LINES,
    transforms=(
        stage(parse, cut=cut_columns),
        stage(rules, cut=cut_columns),
        stage(aggregate),
    ),
    new_result=TotalsByType,
)

__all__ = ["EVENTS"]
