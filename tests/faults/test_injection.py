"""Each fault does to a run what it is there for."""

from __future__ import annotations

import sys

import pytest

from pipeline.stages import INGEST, SINK
from tests.faults.judging import judge
from tests.faults.plan import INPUT, ORCHESTRATOR, Fault, Kind, Moment, Plan
from tests.faults.running import Data, run


@pytest.mark.skipif(sys.platform != "linux", reason="uses limits that Linux has")
@pytest.mark.parametrize(
    ("kind", "target", "moment", "outcome", "says"),
    [
        ("kill", "parse", Moment("rules", 300), "exact", "parse has lost a server"),
        ("pause", "rules", Moment("rules", 300), "exact", "rules has lost a server"),
        ("cut", "rules", Moment("rules", 300), "exact", "rules has lost a server"),
        ("cut", SINK, Moment(SINK, 300), "exact", "sink has lost a server"),
        ("kill", INGEST, Moment(INGEST, 300), "exact", "ingest has lost a server"),
        ("full disk", SINK, Moment(SINK, 300), "one line", "can't write"),
        ("full disk", ORCHESTRATOR, Moment(SINK, 300), "one line", "can't write"),
        ("truncate", INPUT, Moment(INGEST, 10), "one line", "was truncated"),
    ],
)
def test_a_fault_shows(
    data: Data, kind: Kind, target: str, moment: Moment, outcome: str, says: str
) -> None:
    """A run that fails for another reason, or without having noticed, is no proof."""
    fault = Fault(kind, target, moment)

    end = run(Plan(0, 1, (fault,)), data)

    assert judge(end, data).outcome == outcome
    assert says in end.stderr
