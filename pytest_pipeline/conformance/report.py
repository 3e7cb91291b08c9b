"""The conformance report: the verdicts of a session, printed and written to files.

Imports nothing but pytest, since the plugin loads it wherever it is installed.
"""

from __future__ import annotations

import json
import platform
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

#: Comes before the names of the properties in which a test reports its check.
PREFIX = "conformance_"
_NAMES = ("check", "stage", "workload", "status", "required", "why", "message")

#: The outcomes that are verdicts on a stage; skips and faults are not.
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
    """The outcome of one check of one stage, as the report has it."""

    check: str
    stage: str
    workload: str
    status: str
    required: bool
    why: str
    message: str

    def as_properties(self) -> list[tuple[str, object]]:
        """Return the properties of a test that `entry_of` reads."""
        return [(f"{PREFIX}{name}", getattr(self, name)) for name in _NAMES]


def entry_of(report: pytest.TestReport) -> Entry | None:
    """Return the entry in a test report; None if the test is not a check."""
    said = dict(report.user_properties)
    if f"{PREFIX}status" not in said:
        return None
    values: dict[str, Any] = {name: said[f"{PREFIX}{name}"] for name in _NAMES}
    return Entry(**values)


class ConformanceReport:
    """A pytest plugin that collects the verdicts of a session and reports them.

    Under xdist the controller gets the reports of all workers.

    Args:
        path: where to write the report, with .json and .md; None to write none.
        serving: the command or address of each stage, by stage name.
    """

    def __init__(self, path: Path | None, serving: dict[str, str]) -> None:
        self._path = path
        self._serving = serving
        #: By test, so that a test that ran twice counts once.
        self._entries: dict[str, Entry] = {}
        self._unwritten = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect the verdict of a check."""
        entry = entry_of(report)
        if entry is not None:
            self._entries[report.nodeid] = entry

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the report; fail a session that checked nothing or can't write it."""
        if hasattr(session.config, "workerinput") or not self._entries:
            return
        if self._path is not None:
            self._unwritten = self._write(self._path)
        failed = self._unchecked or self._unwritten
        if failed and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> None:
        """Print the counts of each stage, and where the report is."""
        if not self._entries:
            return
        terminalreporter.section("conformance")
        for stage in self._stages:
            terminalreporter.line(f"stage {stage}: {_counts(self._of(stage))}")
        for stage in self._unchecked:
            terminalreporter.line(
                f"stage {stage}: nothing was checked, and a skip is no pass", red=True
            )
        if self._unwritten:
            terminalreporter.line(
                f"--pipeline-conformance-report {self._path}: not written: "
                f"{self._unwritten}",
                red=True,
            )
        elif self._path is not None:
            terminalreporter.line(
                f"written: {self._path.with_suffix('.json')} and "
                f"{self._path.with_suffix('.md')}"
            )

    def _write(self, path: Path) -> str:
        """Write both files; return why they could not be written, or ""."""
        from pipeline.errors import PipelineError
        from pipeline.publishing import write_whole

        try:
            write_whole(path.with_suffix(".json"), self._json().encode())
            write_whole(path.with_suffix(".md"), self._markdown().encode())
        except PipelineError as error:
            return str(error)
        return ""

    @property
    def _stages(self) -> list[str]:
        return list(dict.fromkeys(entry.stage for entry in self._entries.values()))

    @property
    def _unchecked(self) -> list[str]:
        """The stages for which no check gave a verdict."""
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
    """Count the checks by outcome, in text, failures first."""
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
    """Escape text for one cell of a Markdown table."""
    return "<br>".join(text.replace("|", "\\|").splitlines())
