"""The `events` workload: newline-delimited JSON to count, sum and average by type."""

from __future__ import annotations

from pipeline.stage import Stage, Workload
from pipeline.v1.events_pb2 import Amounts, Events, Lines, LineSource, Totals
from pipeline.workloads.events.aggregate import TotalsByType, aggregate
from pipeline.workloads.events.parse import parse
from pipeline.workloads.events.rules import rules
from pipeline.workloads.events.source import read_lines

EVENTS = Workload(
    name="events",
    source=read_lines,
    source_spec=LineSource,
    transforms=(
        Stage("parse", Lines, Events, parse),
        Stage("rules", Events, Amounts, rules),
        Stage("aggregate", Amounts, Totals, aggregate),
    ),
    result_takes=Totals,
    new_result=TotalsByType,
)

__all__ = ["EVENTS"]
