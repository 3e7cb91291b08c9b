"""Hooks and fixtures of the suite of counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from pipeline.workloads import workload_named
from pytest_pipeline.measure.baseline_file import run_name
from pytest_pipeline.measure.counts.check import CountsCheck
from pytest_pipeline.measure.counts.traffic import counted_dataset
from pytest_pipeline.measure.dataset import Dataset
from pytest_pipeline.measure.selection import (
    selected_batch_sizes,
    selected_workloads,
    usage_errors_stop_collection,
)
from pytest_pipeline.options import settings_of
from pytest_pipeline.records.data import data_of

#: What is counted where the options say nothing.
BATCH_SIZES = (1, 10, 100, 1000)
WORKLOADS = ("events", "work-items", "mixed")

_CHECK = pytest.StashKey[CountsCheck]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Count each workload at each batch size, and each stage of the first workload."""
    config = metafunc.config
    with usage_errors_stop_collection():
        if _CHECK not in config.stash:
            config.stash[_CHECK] = CountsCheck.of(config)
        data_of(settings_of(config))
        workloads = [workload_named(name) for name in _workloads(config)]
    if "workload_name" in metafunc.fixturenames:
        metafunc.parametrize("workload_name", _workloads(config))
    if "batch_size" in metafunc.fixturenames:
        metafunc.parametrize("batch_size", selected_batch_sizes(config, BATCH_SIZES))
    if "stage_name" in metafunc.fixturenames:
        names = [stage.name for stage in workloads[0].transforms]
        metafunc.parametrize("stage_name", names)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the name of the file if it was updated."""
    check = config.stash.get(_CHECK, None)
    if check is not None and check.file.update:
        terminalreporter.line(check.file.written)


def _workloads(config: pytest.Config) -> Sequence[str]:
    # All servers are in this process, so that --pipeline-stage has no effect.
    return selected_workloads(config, WORKLOADS, by_stage=False)


@pytest.fixture(scope="session")
def baseline_check(request: pytest.FixtureRequest) -> CountsCheck:
    """Compare counts with the baseline file, or write them to it."""
    return request.config.stash[_CHECK]


@pytest.fixture(scope="session")
def counted_runs(request: pytest.FixtureRequest) -> list[str]:
    """The names of all runs of this session."""
    return [
        run_name(workload, size)
        for workload in _workloads(request.config)
        for size in selected_batch_sizes(request.config, BATCH_SIZES)
    ]


@pytest.fixture(scope="session")
def first_workload(request: pytest.FixtureRequest) -> str:
    """The workload whose instructions are counted."""
    return _workloads(request.config)[0]


@pytest.fixture(scope="session")
def dataset_named(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Dataset]:
    """Return the dataset of a workload, which is made once a session."""
    data = data_of(settings_of(request.config))
    folder = tmp_path_factory.mktemp("counts")
    made: dict[str, Dataset] = {}

    def dataset_named(name: str) -> Dataset:
        if name not in made:
            made[name] = counted_dataset(workload_named(name), folder, data)
        return made[name]

    return dataset_named
