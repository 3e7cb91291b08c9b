"""The workloads, by name."""

from __future__ import annotations

from pipeline.errors import UsageError
from pipeline.stage import Workload
from pipeline.workloads.events import EVENTS

_WORKLOADS = {workload.name: workload for workload in (EVENTS,)}


def workload_named(name: str) -> Workload:
    """Return the workload of that name; raise UsageError if there is none."""
    try:
        return _WORKLOADS[name]
    except KeyError:
        known = ", ".join(sorted(_WORKLOADS))
        raise UsageError(f"workload {name!r}: not known; there is {known}") from None


__all__ = ["EVENTS", "workload_named"]
