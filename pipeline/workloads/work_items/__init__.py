"""The `work-items` workload: items made from a seed that stand for CPU-bound work."""

from __future__ import annotations

from pipeline.stages import stage
from pipeline.workload import Workload
from pipeline.workloads.work_items.aggregate import ItemScores, aggregate
from pipeline.workloads.work_items.parse import parse
from pipeline.workloads.work_items.rules import rules
from pipeline.workloads.work_items.source import ITEMS, work_item_source

WORK_ITEMS = Workload(
    name="work-items",
    source=ITEMS,
    transforms=(stage(parse), stage(rules), stage(aggregate)),
    new_result=ItemScores,
)

__all__ = ["WORK_ITEMS", "work_item_source"]
