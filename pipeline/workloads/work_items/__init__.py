"""The workload `work-items`: CPU-bound work on items that are made from a seed."""

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
