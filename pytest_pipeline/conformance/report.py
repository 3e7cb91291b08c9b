"""The verdicts of a session on stages: gathered from reports, summed up, written.

Needs pytest only, since pytest loads it wherever the plugin is installed.
"""

from __future__ import annotations

import json
import platform
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

#: What a test says of its check with ``record_property``, this before each name.
PREFIX = "conformance_"
_NAMES = ("check", "stage", "workload", "status", "required", "why", "message")

#: Verdicts that say something of the stage; a skip does not.
_CHECKED = ("passed", "failed", "known", "reported")
_MARKS = {
    "passed": "✓",
    "failed": "✗",
    "known": "✗ known",
    "reported": "✗ not required",
    "skipped": "–",
    "fault": "fault of the checking",
}


@dataclass(frozen=True)
class Entry:
    """What one check has found of one stage."""

    check: str
    stage: str
    workload: str
    status: str
    required: bool
    why: str
    message: str

    def as_properties(self) -> list[tuple[str, object]]:
        """Return what `entry_of` reads, for the properties of a test."""
        return [(f"{PREFIX}{name}", getattr(self, name)) for name in _NAMES]


def entry_of(report: pytest.TestReport) -> Entry | None:
    """Return the entry of a report; None for a test that is no check."""
    said = dict(report.user_properties)
    if f"{PREFIX}status" not in said:
        return None
    values: dict[str, Any] = {name: said[f"{PREFIX}{name}"] for name in _NAMES}
    return Entry(**values)


class ConformanceReport:
    """A plugin that gathers the entries of a session; ``path`` is for its summaries.

    Under xdist the reports of all workers come to the one that has started them.
    """

    def __init__(self, path: Path | None, serving: dict[str, str]) -> None:
        self._path = path
        self._serving = serving
        #: By test, so that one that ran twice counts once.
        self._entries: dict[str, Entry] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take note of a check that was made."""
        entry = entry_of(report)
        if entry is not None:
            self._entries[report.nodeid] = entry

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the summaries; fail a session that has checked nothing."""
        if hasattr(session.config, "workerinput") or not self._entries:
            return
        if self._unchecked and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if self._path is not None:
            from pipeline.publishing import write_whole

            write_whole(self._path.with_suffix(".json"), self._json().encode())
            write_whole(self._path.with_suffix(".md"), self._markdown().encode())

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> None:
        """Say what was found of each stage."""
        if not self._entries:
            return
        terminalreporter.section("conformance")
        for stage in self._stages:
            terminalreporter.line(f"stage {stage}: {_counts(self._of(stage))}")
        for stage in self._unchecked:
            terminalreporter.line(
                f"stage {stage}: nothing was checked, and a skip is no pass", red=True
            )
        if self._path is not None:
            terminalreporter.line(
                f"written: {self._path.with_suffix('.json')} and "
                f"{self._path.with_suffix('.md')}"
            )

    @property
    def _stages(self) -> list[str]:
        return list(dict.fromkeys(entry.stage for entry in self._entries.values()))

    @property
    def _unchecked(self) -> list[str]:
        """The stages of which every check was skipped."""
        return [
            stage
            for stage in self._stages
            if all(entry.status not in _CHECKED for entry in self._of(stage))
        ]

    def _of(self, stage: str) -> list[Entry]:
        return [entry for entry in self._entries.values() if entry.stage == stage]

    def _json(self) -> str:
        content = {
            "python": platform.python_version(),
            "stages": {
                stage: {
                    "served_by": self._serving.get(stage, ""),
                    "counts": Counter(entry.status for entry in self._of(stage)),
                    "checks": [
                        {
                            name: getattr(entry, name)
                            for name in _NAMES
                            if name != "stage"
                        }
                        for entry in self._of(stage)
                    ],
                }
                for stage in self._stages
            },
        }
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

    def _markdown(self) -> str:
        lines = ["# Conformance", ""]
        for stage in self._stages:
            served_by = self._serving.get(stage, "")
            lines += [
                f"## Stage {stage}",
                "",
                f"`{served_by}`: {_counts(self._of(stage))}",
                "",
                "| check | workload | verdict | |",
                "| --- | --- | --- | --- |",
            ]
            for entry in self._of(stage):
                said = entry.message if entry.status != "passed" else ""
                lines.append(
                    f"| {entry.check} | {entry.workload} | {_MARKS[entry.status]} | "
                    f"{_cell(said)} |"
                )
            lines.append("")
        return "\n".join(lines)


def _counts(entries: list[Entry]) -> str:
    """Say how many checks ended how, those that matter most first."""
    counts = Counter(entry.status for entry in entries)
    said = (
        ("failed", "failed"),
        ("fault", "not made, by a fault of the checking"),
        ("passed", "passed"),
        ("known", "failed as known"),
        ("reported", "failed, not required"),
        ("skipped", "skipped"),
    )
    return ", ".join(f"{counts[name]} {text}" for name, text in said if counts[name])


def _cell(text: str) -> str:
    """Make text fit for one cell of a table."""
    return "<br>".join(text.replace("|", "\\|").splitlines())
