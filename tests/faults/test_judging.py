"""What a run with faults must not come to."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.judging import judge
from tests.faults.plan import ORCHESTRATOR, Fault, Kind, Moment
from tests.faults.running import EARLIER, Data, End

DATA = Data(b"in", b"exact output", b"exact rejects")
EXACT = End(
    exit_code=0,
    stdout="a summary",
    stderr="pipeline: warning: stage parse has lost a server once; the result is w…\n",
    output=DATA.output,
    rejects=DATA.rejects,
    happened=(),
    processes=(),
    files=(),
    files_later=(),
)
FAILED = replace(
    EXACT,
    exit_code=1,
    stdout="",
    stderr="pipeline: stage sink is lost\n",
    output=EARLIER,
    rejects=EARLIER,
)
INTERRUPTED = replace(FAILED, exit_code=130, stderr="pipeline: interrupted\n")


def fault(kind: Kind, target: str) -> Fault:
    """Return a fault that has happened."""
    return Fault(kind, target, Moment("parse", 1))


KILLED = replace(
    FAILED,
    exit_code=-signal.SIGKILL,
    stderr="",
    happened=(fault("kill", ORCHESTRATOR),),
)


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (EXACT, "exact"),
        (FAILED, "one line"),
        (INTERRUPTED, "signal"),
        (KILLED, "killed"),
        (replace(KILLED, files=(".out.1.partial",)), "killed"),
        (replace(KILLED, output=DATA.output, rejects=DATA.rejects), "killed"),
    ],
)
def test_a_run_that_keeps_its_promises_is_told_by_its_end(
    end: End, outcome: str
) -> None:
    """After SIGKILL drafts may be left for the next run, and nobody knows the end."""
    verdict = judge(end, DATA)

    assert (verdict.outcome, verdict.complaints) == (outcome, [])


@pytest.mark.parametrize(
    ("end", "changes", "complaint"),
    [
        (EXACT, {"exit_code": None}, "the run hangs"),
        (EXACT, {"output": b"exact"}, "the output file is wrong"),
        (EXACT, {"rejects": EARLIER}, "the rejects file is wrong"),
        (EXACT, {"stderr": "Traceback"}, "it said 'Traceback'"),
        (EXACT, {"processes": ["7 stopped"]}, "process 7 stopped is left"),
        (EXACT, {"files": [".out.1.partial"]}, "file .out.1.partial is left"),
        (FAILED, {"output": DATA.output}, "the output file has changed"),
        (FAILED, {"rejects": b""}, "the rejects file has changed"),
        (FAILED, {"stdout": "20,000"}, "it printed '20,000'"),
        (FAILED, {"stderr": ""}, "it said ''"),
        (FAILED, {"stderr": "pipeline: a\npipeline: b\n"}, "it said 'pipeline: a\\n"),
        (FAILED, {"exit_code": -signal.SIGKILL}, "exit code -9"),
        (INTERRUPTED, {"stderr": ""}, "it said ''"),
        (KILLED, {"output": b"exact"}, "it left (b'exact', b'earlier"),
        (KILLED, {"output": DATA.output}, "it left (b'exact output', b'earlier"),
        (KILLED, {"files_later": [".out.1.partial"]}, "file .out.1.partial is left"),
    ],
)
def test_a_broken_promise_is_a_complaint(
    end: End, changes: dict[str, Any], complaint: str
) -> None:
    """And the outcome is wrong."""
    verdict = judge(replace(end, **changes), DATA)

    assert verdict.outcome == "wrong"
    assert any(said.startswith(complaint) for said in verdict.complaints)
