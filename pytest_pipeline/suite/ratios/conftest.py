"""Hooks and fixtures of the suite of ratios."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pipeline.transport.environment import configure_process

# This process drives the runs, so gRPC is configured before it is imported.
configure_process()

from pipeline.workloads import workload_named  # noqa: E402
from pytest_pipeline.measure.harness import Harness  # noqa: E402
from pytest_pipeline.measure.ratios.check import RatiosCheck  # noqa: E402
from pytest_pipeline.measure.ratios.measuring import RUN_S  # noqa: E402
from pytest_pipeline.measure.ratios.pairs import Pair, pairs_of  # noqa: E402
from pytest_pipeline.measure.selection import (  # noqa: E402
    selected_batch_sizes,
    selected_workloads,
    usage_errors_stop_collection,
)
from pytest_pipeline.options import settings_given, settings_of  # noqa: E402
from pytest_pipeline.records.data import data_of  # noqa: E402

if TYPE_CHECKING:
    from pytest_pipeline.servers.pool import ServerPool

#: What is measured where the options say nothing.
BATCH_SIZES = (1, 10, 100, 1000)
WORKLOAD = "events"

_CHECK = pytest.StashKey[RatiosCheck]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Measure each ratio of the first workload."""
    config = metafunc.config
    with usage_errors_stop_collection():
        if _CHECK not in config.stash:
            config.stash[_CHECK] = RatiosCheck.of(config)
        data_of(settings_of(config))
        workload_named(_workload(config))
    if "pair" in metafunc.fixturenames:
        metafunc.parametrize("pair", _pairs(config), ids=lambda pair: pair.name)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Exit with a code other than 0 if a ratio could not be judged."""
    check = session.config.stash.get(_CHECK, None)
    if check is not None and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = check.exit_code


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the verdict on each ratio, or that the file was updated."""
    check = config.stash.get(_CHECK, None)
    if check is None:
        return
    if check.judged:
        terminalreporter.section("pipeline: ratios")
    for line in (*map(str, check.judged), *check.notes()):
        terminalreporter.line(line)


def _workload(config: pytest.Config) -> str:
    return selected_workloads(config, [WORKLOAD])[0]


def _pairs(config: pytest.Config) -> list[Pair]:
    return pairs_of(_workload(config), selected_batch_sizes(config, BATCH_SIZES))


@pytest.fixture(scope="session")
def baseline_check(request: pytest.FixtureRequest) -> RatiosCheck:
    """Compare ratios with the baseline file, or write them to it."""
    return request.config.stash[_CHECK]


@pytest.fixture(scope="session")
def pairs(request: pytest.FixtureRequest) -> list[Pair]:
    """All ratios of this session."""
    return _pairs(request.config)


@pytest.fixture(scope="session")
def harness(
    request: pytest.FixtureRequest,
    pipeline_servers: ServerPool,
    tmp_path_factory: pytest.TempPathFactory,
) -> Harness:
    """The engines of this session, and runs whose results are checked."""
    settings = settings_of(request.config)
    if "run_seconds" not in settings_given(request.config):
        settings = replace(settings, run_seconds=RUN_S)
    return Harness(pipeline_servers, settings, tmp_path_factory.mktemp("ratios"))
