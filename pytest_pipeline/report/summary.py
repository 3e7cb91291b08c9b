"""The pytest plugin that reports the results of a session: a table, and the page.

pytest loads this module in every session, so it imports nothing but pytest.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_pipeline.measure.results import Measured, Session


#: The property of a test report that tells what an invariance holds for.
HOLDS = "pipeline_holds"


class Summary:
    """A plugin that reports results at the end of a session.

    Args:
        path: Where the page is written; None for no page.
        measured: Results by test, filled while the session runs.

    Raises:
        pytest.UsageError: The folder of the page does not exist.
    """

    def __init__(self, path: Path | None, measured: Mapping[str, Measured]) -> None:
        if path is not None and not path.absolute().parent.is_dir():
            raise pytest.UsageError(
                f"--pipeline-report {path}: there is no folder {path.parent}"
            )
        self._path = path
        self._measured = measured
        self._unwritten = ""
        self._holds: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what the suite of invariance has shown, from workers of xdist too."""
        if report.when == "call":
            self._holds += [
                str(said) for name, said in report.user_properties if name == HOLDS
            ]

    @pytest.hookimpl(optionalhook=True)
    def pytest_benchmark_update_machine_info(
        self, machine_info: dict[str, Any]
    ) -> None:
        """Add the machine to the JSON that pytest-benchmark saves."""
        import msgspec

        from pytest_pipeline.measure.machine import this_machine
        from pytest_pipeline.measure.results import KEY

        machine_info[KEY] = msgspec.to_builtins(this_machine())

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the page; fail the session if it can't be written or has no results."""
        if self._path is None or hasattr(session.config, "workerinput"):
            return
        if self._measured:
            self._unwritten = self._write(self._path)
        else:
            self._unwritten = (
                "nothing was measured; run benchmarks, such as --pyargs "
                "pytest_pipeline.suite.benchmarks --benchmark-only"
            )
        if self._unwritten and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> None:
        """Print what holds, the table and the path of the page."""
        if self._holds:
            terminalreporter.section("pipeline: what does not depend on batches")
            for line in self._holds:
                terminalreporter.line(line)
        if self._measured:
            from pytest_pipeline.report.terminal import terminal_table

            terminalreporter.section("pipeline: what was measured")
            for line in terminal_table(self._session()):
                terminalreporter.line(line)
        if self._unwritten:
            terminalreporter.line(
                f"--pipeline-report {self._path}: not written: {self._unwritten}",
                red=True,
            )
        elif self._path is not None:
            terminalreporter.line(f"written: {self._path}")

    def _write(self, path: Path) -> str:
        """Write the page; return the error, or an empty string."""
        from pipeline.errors import PipelineError
        from pytest_pipeline.report.session_page import write

        try:
            write(self._session(), path)
        except PipelineError as error:
            return str(error)
        return ""

    def _session(self) -> Session:
        from pytest_pipeline.measure.machine import this_machine
        from pytest_pipeline.measure.results import Session

        return Session(
            machine=this_machine(),
            when=datetime.now(UTC).isoformat(timespec="seconds"),
            benchmarks=list(self._measured.items()),
        )
