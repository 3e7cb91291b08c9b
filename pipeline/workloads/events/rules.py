"""The rules stage of `events`: filter out views and small values."""

from __future__ import annotations

from itertools import compress

from pipeline.stages import Output
from pipeline.v1.events_pb2 import EVENT_TYPE_VIEW, Amounts, Events

MIN_VALUE = 10


def rules(events: Events) -> Output[Amounts]:
    """Keep the events with ``value >= 10`` that are not views.

    Only the columns that aggregate reads are passed on.
    """
    # Plain loops: numpy's code is not in the CPU's caches when a batch comes, which
    # costs more than it saves below some thousand records.
    types, values = list(events.type), list(events.value)
    view = EVENT_TYPE_VIEW
    kept = [
        value >= MIN_VALUE and type_ != view
        for type_, value in zip(types, values, strict=True)
    ]
    amounts = Amounts(type=compress(types, kept), value=compress(values, kept))
    passed = len(amounts.type)
    return Output(amounts, records=passed, filtered=len(types) - passed)
