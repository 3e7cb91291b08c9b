"""What the benchmarks share: servers in processes of their own, and datasets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pipeline.transport.environment import set_defaults

# Before gRPC is imported, as in the command: this process drives the runs.
set_defaults(os.environ)

from pipeline.errors import PipelineError  # noqa: E402
from pipeline.workloads import workload_named  # noqa: E402
from pytest_pipeline.measure.bench import Bench  # noqa: E402
from pytest_pipeline.options import settings_given, settings_of  # noqa: E402
from pytest_pipeline.records.data import data_of  # noqa: E402

if TYPE_CHECKING:
    from pytest_pipeline.servers.pool import ServerPool

#: What is measured where the options say nothing.
BATCH_SIZES = (1, 10, 50, 100, 500, 1000, 5000)
WORKLOADS = ("events", "work-items", "mixed")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Measure each workload at each batch size."""
    config = metafunc.config
    try:
        for name in _workloads(config):
            workload_named(name)
        data_of(settings_of(config))
    except PipelineError as error:
        raise pytest.Collector.CollectError(f"usage error: {error}") from error
    if "workload_name" in metafunc.fixturenames:
        metafunc.parametrize("workload_name", _workloads(config))
    if "batch_size" in metafunc.fixturenames:
        metafunc.parametrize("batch_size", _batch_sizes(config))


def _workloads(config: pytest.Config) -> Sequence[str]:
    """Return what is asked for; stages that are given serve one workload only."""
    if settings_given(config) & {"workload", "stage"}:
        return settings_of(config).workload
    return WORKLOADS


def _batch_sizes(config: pytest.Config) -> Sequence[int]:
    if "batch_sizes" in settings_given(config):
        return settings_of(config).batch_sizes
    return BATCH_SIZES


@pytest.fixture(scope="session")
def bench(
    request: pytest.FixtureRequest,
    pipeline_servers: ServerPool,
    tmp_path_factory: pytest.TempPathFactory,
) -> Bench:
    """Engines on the servers of this session, and runs that are checked."""
    settings = settings_of(request.config)
    return Bench(
        pipeline_servers,
        # In threads of one process there would be nothing between the stages to pay.
        replace(settings, servers="subprocess"),
        tmp_path_factory.mktemp("benchmarks"),
        data_of(settings),
    )


@pytest.fixture
def first_workload(request: pytest.FixtureRequest) -> str:
    """The workload that is measured in every respect."""
    return _workloads(request.config)[0]


@pytest.fixture
def events(request: pytest.FixtureRequest) -> str:
    """The name of the events workload, for what is claimed of it alone."""
    return _only(request, "events")


@pytest.fixture
def work_items(request: pytest.FixtureRequest) -> str:
    """The name of the workload of work items, for what is claimed of it alone."""
    return _only(request, "work-items")


def _only(request: pytest.FixtureRequest, name: str) -> str:
    if name not in _workloads(request.config):
        pytest.skip(f"this is of workload {name}, which was not asked for")
    return name


@pytest.fixture(scope="session")
def bound_iterations(bench: Bench) -> int:
    """Iterations at which processing has most of the CPU, at batch size 1."""
    return bench.bound_iterations()
