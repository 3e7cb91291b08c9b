"""Hooks and fixtures of the benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from pipeline.transport.environment import configure_process

# This process drives the runs, so gRPC is configured before it is imported.
configure_process()

from pipeline.workloads import workload_named  # noqa: E402
from pytest_pipeline.measure.harness import Harness  # noqa: E402
from pytest_pipeline.measure.selection import (  # noqa: E402
    selected_batch_sizes,
    selected_workloads,
    usage_errors_stop_collection,
)
from pytest_pipeline.options import settings_of  # noqa: E402
from pytest_pipeline.records.data import data_of  # noqa: E402

if TYPE_CHECKING:
    from pytest_pipeline.servers.pool import ServerPool

#: What is measured where the options say nothing.
BATCH_SIZES = (1, 10, 50, 100, 500, 1000, 5000)
WORKLOADS = ("events", "work-items", "mixed")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Measure each workload at each batch size."""
    config = metafunc.config
    with usage_errors_stop_collection():
        for name in _workloads(config):
            workload_named(name)
        data_of(settings_of(config))
    if "workload_name" in metafunc.fixturenames:
        metafunc.parametrize("workload_name", _workloads(config))
    if "batch_size" in metafunc.fixturenames:
        metafunc.parametrize("batch_size", selected_batch_sizes(config, BATCH_SIZES))


def _workloads(config: pytest.Config) -> Sequence[str]:
    return selected_workloads(config, WORKLOADS)


@pytest.fixture(scope="session")
def harness(
    request: pytest.FixtureRequest,
    pipeline_servers: ServerPool,
    tmp_path_factory: pytest.TempPathFactory,
) -> Harness:
    """The engines of this session, and runs whose results are checked."""
    folder = tmp_path_factory.mktemp("benchmarks")
    return Harness(pipeline_servers, settings_of(request.config), folder)


@pytest.fixture
def first_workload(request: pytest.FixtureRequest) -> str:
    """The workload that transports, replicas and latency are measured with."""
    return _workloads(request.config)[0]


@pytest.fixture
def events(request: pytest.FixtureRequest) -> str:
    """The name of the events workload; skips if it is not selected."""
    return _only(request, "events")


@pytest.fixture
def work_items(request: pytest.FixtureRequest) -> str:
    """The name of the work-items workload; skips if it is not selected."""
    return _only(request, "work-items")


def _only(request: pytest.FixtureRequest, name: str) -> str:
    if name not in _workloads(request.config):
        pytest.skip(f"this is of workload {name}, which was not asked for")
    return name


@pytest.fixture(scope="session")
def cpu_bound_iterations(harness: Harness) -> int:
    """Iterations at which processing takes 87 % of the CPU or more at batch size 1."""
    return harness.cpu_bound_iterations()
