"""What the tests of ratios share: the file, and servers in processes of their own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from pipeline.transport.environment import set_defaults

# Before gRPC is imported, as in the command: this process drives the runs.
set_defaults(os.environ)

from pipeline.errors import PipelineError  # noqa: E402
from pipeline.workloads import workload_named  # noqa: E402
from pytest_pipeline.measure.baseline_file import baseline_path, is_update  # noqa: E402
from pytest_pipeline.measure.bench import Bench  # noqa: E402
from pytest_pipeline.measure.ratios import measuring  # noqa: E402
from pytest_pipeline.measure.ratios.baseline import Provenance, RatiosBaseline  # noqa: E402
from pytest_pipeline.measure.ratios.judging import (  # noqa: E402
    MOST_USED,
    JudgedRatio,
    MeasuredRatio,
    judge_ratio,
)
from pytest_pipeline.measure.ratios.pairs import Pair, pairs_of  # noqa: E402
from pytest_pipeline.options import settings_given, settings_of  # noqa: E402
from pytest_pipeline.records.data import data_of  # noqa: E402

if TYPE_CHECKING:
    from pytest_pipeline.servers.pool import ServerPool

#: What is measured where the options say nothing.
BATCH_SIZES = (1, 10, 100, 1000)
WORKLOAD = "events"

#: Seconds that all ratios may take together, after the first look at each.
BUDGET_S = 90.0

#: Exit codes of a session in which nothing has failed, as of the gate: nothing could be
#: held to the file, or of some ratios it can't be said whether they are worse.
NOTHING_HELD = 5
INCONCLUSIVE = 6

_HELD = pytest.StashKey["RatiosCheck"]()


@dataclass
class RatiosCheck:
    """The file that ratios are held to, or written to."""

    path: Path
    baseline: RatiosBaseline
    update: bool
    #: Why nothing can be held to it here; nothing where that is not so.
    elsewhere: str
    #: What has been held to it.
    judged: list[JudgedRatio] = field(default_factory=list)
    #: How many could not be, because of another machine.
    skipped: int = 0
    #: Share of the CPU that others used while the file was written, at most.
    used: float = 0.0

    @classmethod
    def of(cls, config: pytest.Config) -> RatiosCheck:
        """Read the file that the options name, once for a session.

        Raises pytest.UsageError or UsageError where there is none, or it can't be read.
        """
        if _HELD not in config.stash:
            if hasattr(config, "workerinput"):
                raise pytest.UsageError(
                    "ratios: what is measured beside other workers of xdist says "
                    "nothing; add -n 0"
                )
            path, update, here = (
                baseline_path(config),
                is_update(config),
                Provenance.here(),
            )
            is_new = update and not path.exists()
            baseline = RatiosBaseline(here) if is_new else RatiosBaseline.read(path)
            elsewhere = baseline.made_on.difference(here)
            if update and elsewhere:
                # In one file, all is of one kind of machine.
                baseline, elsewhere = RatiosBaseline(here), ""
            config.stash[_HELD] = cls(path, baseline, update, elsewhere)
        return config.stash[_HELD]

    def hold(self, pair: Pair, bench: Bench, budget_s: float) -> None:
        """Measure a ratio, and fail the test where it is worse; or write it.

        Skips the test where that can't be said.
        """
        if self.update:
            self._write(pair, bench, budget_s)
            return
        records = self.baseline.records_of(pair)
        was = self.baseline.ratios.get(pair.name)
        if was is None or len(records) < len(pair.batch_sizes):
            self.fail(f"{pair.name}: the baseline has no such ratio")
        available = bench.runs(pair.workload).dataset.available
        if available is not None and available < max(records.values()):
            self.fail(
                f"{pair.name}: the baseline is of runs of {max(records.values()):,} "
                f"records, and the input has only {available:,}"
            )
        if self.elsewhere:
            self.skipped += 1
            pytest.skip(f"{self.path} is of another machine: {self.elsewhere}")

        def judged(found: MeasuredRatio) -> JudgedRatio:
            return judge_ratio(pair.name, was, found, is_speedup=pair.is_speedup)

        found = measuring.measure(
            bench,
            pair,
            records,
            is_open=lambda found: judged(found).verdict == "inconclusive",
            budget_s=budget_s,
        )
        said = judged(found)
        self.judged.append(said)
        if said.verdict == "worse":
            self.fail(str(said))
        if said.verdict == "inconclusive":
            pytest.skip(str(said))

    def _write(self, pair: Pair, bench: Bench, budget_s: float) -> None:
        """Measure a ratio as well as the budget allows, and write it to the file."""
        records = self.baseline.records_of(pair)
        for size in pair.batch_sizes:
            # Those of the file stay, since its other ratios are of them too.
            if size not in records:
                records[size] = measuring.records_for(bench, pair.workload, size)
                self.baseline.size(pair, size, records[size])
        found = measuring.measure(
            bench, pair, records, is_open=lambda _: True, budget_s=budget_s
        )
        self.used = max(self.used, found.used)
        self.baseline.replace(pair.name, found.ratio, found.records_per_s)
        self.baseline.made_on = Provenance.here()
        self.baseline.write(self.path)

    def fail(self, *lines: str) -> NoReturn:
        """Fail the test with these lines."""
        what = f"if this is meant: --pipeline-update-baseline, and commit {self.path}"
        pytest.fail("\n".join([*lines, what]), pytrace=False)

    @property
    def exit_code(self) -> int:
        """What a session ends with in which nothing has failed."""
        if any(said.verdict == "inconclusive" for said in self.judged):
            return INCONCLUSIVE
        return NOTHING_HELD if self.skipped else pytest.ExitCode.OK


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Measure each ratio of the first workload."""
    config = metafunc.config
    try:
        RatiosCheck.of(config)
        data_of(settings_of(config))
        workload_named(_workload(config))
    except (PipelineError, pytest.UsageError) as error:
        raise pytest.Collector.CollectError(f"usage error: {error}") from error
    if "pair" in metafunc.fixturenames:
        metafunc.parametrize("pair", _pairs(config), ids=lambda pair: pair.name)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Have what could not be said be seen by the exit code: it is no green."""
    held = session.config.stash.get(_HELD, None)
    if held is not None and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = held.exit_code


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say what was found of each ratio, or what was written."""
    held = config.stash.get(_HELD, None)
    if held is None:
        return
    if held.judged:
        terminalreporter.section("pipeline: ratios")
        for said in held.judged:
            terminalreporter.line(str(said))
    improved = sum(said.verdict == "improved" for said in held.judged)
    if improved:
        terminalreporter.line(
            f"improved: {improved}; keep it with --pipeline-update-baseline, and "
            f"commit {held.path}"
        )
    if held.update:
        terminalreporter.line(f"written: {held.path}; its diff is for the review")
        if held.used > MOST_USED:
            terminalreporter.line(
                f"others used {held.used:.0%} of the CPU: write {held.path} again on "
                f"an idle machine"
            )


def _workload(config: pytest.Config) -> str:
    if settings_given(config) & {"workload", "stage"}:
        return settings_of(config).workload[0]
    return WORKLOAD


def _pairs(config: pytest.Config) -> list[Pair]:
    sizes: Sequence[int] = BATCH_SIZES
    if "batch_sizes" in settings_given(config):
        sizes = settings_of(config).batch_sizes
    return pairs_of(_workload(config), sizes)


@pytest.fixture(scope="session")
def baseline_check(request: pytest.FixtureRequest) -> RatiosCheck:
    """The file of ratios."""
    return RatiosCheck.of(request.config)


@pytest.fixture(scope="session")
def pairs(request: pytest.FixtureRequest) -> list[Pair]:
    """All ratios of this session."""
    return _pairs(request.config)


@pytest.fixture(scope="session")
def bench(
    request: pytest.FixtureRequest,
    pipeline_servers: ServerPool,
    tmp_path_factory: pytest.TempPathFactory,
) -> Bench:
    """Engines on the servers of this session, and runs that are checked."""
    settings = settings_of(request.config)
    if "run_seconds" not in settings_given(request.config):
        settings = replace(settings, run_seconds=measuring.RUN_S)
    return Bench(
        pipeline_servers,
        # In threads of one process there would be nothing between the stages to pay.
        replace(settings, servers="subprocess"),
        tmp_path_factory.mktemp("ratios"),
        data_of(settings),
    )
