"""The pytest plugin that reports the results of a session: a table, and the page.

pytest loads this module in every session, so it imports nothing but pytest.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_pipeline.measure.results import Measured, Session


# The group of the benchmarks that assert claims.
_CLAIMS = "claims"

#: The property of a test report that tells what an invariance holds for.
HOLDS = "pipeline_holds"


#: The name of each table of pytest-benchmark, with its benchmarks.
_Groups = list[tuple[str | None, list[dict[str, Any]]]]


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
        self._failures: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what failed, and what the suite of invariance has shown."""
        if report.failed:
            name = report.nodeid.rpartition("::")[2]
            self._failures.setdefault(name, _why(report))
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

    @pytest.hookimpl(optionalhook=True)
    def pytest_benchmark_update_json(self, output_json: dict[str, Any]) -> None:
        """Add what failed to the JSON that pytest-benchmark saves."""
        from pytest_pipeline.measure.results import KEY

        output_json[KEY] = {"failures": list(self._failures.items())}

    @pytest.hookimpl(optionalhook=True, wrapper=True)
    def pytest_benchmark_group_stats(
        self, config: pytest.Config
    ) -> Generator[None, _Groups, _Groups]:
        """Leave out of the tables what ranks whole tests, such as comparisons.

        They stay if pytest-benchmark is to fail for the slower ones, which it does not
        without a table.
        """
        groups = yield
        if config.getoption("benchmark_compare_fail", None):
            return groups
        kept = [
            (name, [one for one in of if not _is_whole_test(one)])
            for name, of in groups
        ]
        return [(name, of) for name, of in kept if of]

    @pytest.hookimpl(wrapper=True)
    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> Generator[None]:
        """Print the answers first; then the tables, and the answers again."""
        if self._measured:
            self._print_answers(terminalreporter)
        yield
        self._print(terminalreporter)

    def _print_answers(self, terminalreporter: pytest.TerminalReporter) -> None:
        from pytest_pipeline.report.terminal import answers

        said = answers(self._session())
        if said:
            terminalreporter.section("pipeline: the answers")
        for line in said:
            terminalreporter.line(line)

    def _print(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._holds:
            terminalreporter.section("pipeline: what does not depend on batches")
            for line in self._holds:
                terminalreporter.line(line)
        if self._measured:
            from pytest_pipeline.report.terminal import terminal_table

            terminalreporter.section("pipeline: what was measured")
            for line in terminal_table(self._session()):
                terminalreporter.line(line)
            self._print_answers(terminalreporter)
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
            failures=list(self._failures.items()),
        )


def _why(report: pytest.TestReport) -> str:
    """Return the first line of why a test failed."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message if crash is not None else report.longrepr).strip()
    return text.splitlines()[0] if text else report.outcome


def _is_whole_test(benchmark: Mapping[str, Any]) -> bool:
    """Return whether the time of a benchmark is that of a test and not of a run.

    Such as a comparison, a sweep, or records that arrive at a fixed rate.
    """
    measured = benchmark.get("extra_info", {}).get("pipeline", {})
    return bool(
        measured.get("comparisons")
        or measured.get("group") in {"latency", "load", "languages"}
        or benchmark.get("group") == _CLAIMS
    )
