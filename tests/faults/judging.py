"""Judge how a run with faults has ended."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Literal

from pipeline.stages import SINK
from tests.faults.plan import ORCHESTRATOR, Fault
from tests.faults.running import EARLIER, Data, End

Outcome = Literal["exact", "one line", "signal", "killed", "wrong"]

#: What a run may leave if SIGKILL ended the orchestrator or the sink, which can then
#: remove nothing. A run kills a sink that is paused.
LEFT_BY_SIGKILL = (".*.partial", "pipeline-*")

_WARNING = "pipeline: warning: stage "
_LINES = {
    128 + signal.SIGINT: "pipeline: interrupted",
    128 + signal.SIGTERM: "pipeline: ended by SIGTERM",
}


@dataclass
class Verdict:
    """What came of a run."""

    outcome: Outcome
    #: What is wrong; nothing if the run has kept its promises.
    complaints: list[str] = field(default_factory=list)


def judge(end: End, data: Data) -> Verdict:
    """Return what came of a run, with everything that is wrong with it."""
    verdict = _judged_by_exit_code(end, data)
    complaints = verdict.complaints
    complaints += [f"process {process} is left" for process in end.processes]
    allowed = LEFT_BY_SIGKILL if _may_leave_files(end.happened) else ()
    complaints += [
        f"file {name} is left"
        for name in end.files
        if not any(fnmatch(name, pattern) for pattern in allowed)
    ]
    if complaints:
        verdict.outcome = "wrong"
    return verdict


def _judged_by_exit_code(end: End, data: Data) -> Verdict:
    published = {"output file": end.output, "rejects file": end.rejects}
    whole = {"output file": data.output, "rejects file": data.rejects}
    earlier = dict.fromkeys(published, EARLIER)
    lines = end.stderr.splitlines()
    if end.exit_code is None:
        return Verdict("wrong", ["the run hangs"])
    if end.exit_code == 0:
        complaints = [
            f"the {name} is wrong" for name in whole if published[name] != whole[name]
        ]
        if any(not line.startswith(_WARNING) for line in lines):
            complaints.append(f"it said {end.stderr!r}")
        return Verdict("exact", complaints)
    if end.exit_code == -signal.SIGKILL and _has(end.happened, "kill", ORCHESTRATOR):
        # Between the two, only one of them may be published.
        complaints = [
            f"the {name} is neither the earlier nor the exact one"
            for name in whole
            if published[name] not in (earlier[name], whole[name])
        ]
        return Verdict("killed", complaints)
    complaints = [
        f"the {name} has changed" for name in whole if published[name] != EARLIER
    ]
    if end.stdout:
        complaints.append(f"it printed {end.stdout!r}")
    if end.exit_code in _LINES:
        if lines != [_LINES[end.exit_code]]:
            complaints.append(f"it said {end.stderr!r}")
        return Verdict("signal", complaints)
    if end.exit_code != 1:
        complaints.append(f"exit code {end.exit_code}")
    if len(lines) != 1 or not lines[0].startswith("pipeline: "):
        complaints.append(f"it said {end.stderr!r}")
    return Verdict("one line", complaints)


def _may_leave_files(happened: Iterable[Fault]) -> bool:
    return any(
        (fault.kind, fault.target) in (("kill", ORCHESTRATOR), ("kill", SINK))
        or (fault.kind, fault.target, fault.seconds) == ("pause", SINK, None)
        for fault in happened
    )


def _has(happened: Iterable[Fault], kind: str, target: str) -> bool:
    return any((fault.kind, fault.target) == (kind, target) for fault in happened)
