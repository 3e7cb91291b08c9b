"""Judge how a run with faults has ended."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Literal

from pipeline.stages import SINK
from tests.faults.plan import ORCHESTRATOR, Fault
from tests.faults.running import EARLIER, Data, End

Outcome = Literal["exact", "one line", "signal", "killed", "wrong"]

#: What may stay if SIGKILL ended the orchestrator or the sink, which can then remove
#: nothing. A run kills a sink that is paused. Drafts are removed by the next run.
LEFT_BY_SIGKILL = ("pipeline-*",)

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
    is_excused = _may_leave_files(end.happened)
    complaints += [
        f"file {name} is left"
        for name in (end.files_later if is_excused else end.files)
        if not (is_excused and any(fnmatch(name, it) for it in LEFT_BY_SIGKILL))
    ]
    if complaints:
        verdict.outcome = "wrong"
    return verdict


def _judged_by_exit_code(end: End, data: Data) -> Verdict:
    if end.exit_code is None:
        return Verdict("wrong", ["the run hangs"])
    if end.exit_code == 0:
        return Verdict("exact", list(_wrong_with_success(end, data)))
    if end.exit_code == -signal.SIGKILL and _has(end.happened, "kill", ORCHESTRATOR):
        return Verdict("killed", list(_wrong_with_killed(end, data)))
    outcome: Outcome = "signal" if end.exit_code in _LINES else "one line"
    return Verdict(outcome, list(_wrong_with_failure(end)))


def _wrong_with_success(end: End, data: Data) -> Iterator[str]:
    if end.output != data.output:
        yield "the output file is wrong"
    if end.rejects != data.rejects:
        yield "the rejects file is wrong"
    if any(not line.startswith(_WARNING) for line in end.stderr.splitlines()):
        yield f"it said {end.stderr!r}"


def _wrong_with_killed(end: End, data: Data) -> Iterator[str]:
    left = (end.output, end.rejects)
    if left not in ((EARLIER, EARLIER), (data.output, data.rejects)):
        yield f"it left {left}"


def _wrong_with_failure(end: End) -> Iterator[str]:
    if end.output != EARLIER:
        yield "the output file has changed"
    if end.rejects != EARLIER:
        yield "the rejects file has changed"
    if end.stdout:
        yield f"it printed {end.stdout!r}"
    if end.exit_code != 1 and end.exit_code not in _LINES:
        yield f"exit code {end.exit_code}"
    lines = end.stderr.splitlines()
    said = _LINES.get(end.exit_code or 0, "pipeline: ")
    if len(lines) != 1 or not lines[0].startswith(said):
        yield f"it said {end.stderr!r}"


def _may_leave_files(happened: Iterable[Fault]) -> bool:
    return any(
        (fault.kind, fault.target) in (("kill", ORCHESTRATOR), ("kill", SINK))
        or (fault.kind, fault.target, fault.seconds) == ("pause", SINK, None)
        for fault in happened
    )


def _has(happened: Iterable[Fault], kind: str, target: str) -> bool:
    return any((fault.kind, fault.target) == (kind, target) for fault in happened)
