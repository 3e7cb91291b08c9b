"""What the tests of counts share: the file, and the records that are counted with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.workloads import workload_named
from pytest_pipeline.measure.baseline_file import baseline_path, is_update
from pytest_pipeline.measure.counts.baseline import CountsBaseline
from pytest_pipeline.measure.counts.crossings import counted_dataset
from pytest_pipeline.measure.dataset import Dataset
from pytest_pipeline.options import settings_given, settings_of
from pytest_pipeline.records.data import data_of

#: What is counted where the options say nothing.
BATCH_SIZES = (1, 10, 100, 1000)
WORKLOADS = ("events", "work-items", "mixed")

_HELD = pytest.StashKey["CountsCheck"]()


@dataclass
class CountsCheck:
    """The file that counts are held to, or written to."""

    path: Path
    baseline: CountsBaseline
    update: bool

    @classmethod
    def of(cls, config: pytest.Config) -> CountsCheck:
        """Read the file that the options name, once for a session.

        Raises pytest.UsageError or UsageError where there is none, or it can't be read.
        """
        if _HELD not in config.stash:
            path, update = baseline_path(config), is_update(config)
            is_new = update and not path.exists()
            baseline = CountsBaseline() if is_new else CountsBaseline.read(path)
            config.stash[_HELD] = cls(path, baseline, update)
        return config.stash[_HELD]

    def hold(self, where: str, counts: Mapping[str, int]) -> None:
        """Fail the test where the file has other counts, or write these to it."""
        if self.update:
            self.baseline.replace(where, counts)
            self.baseline.write(self.path)
        else:
            self.fail(self.baseline.differences(where, counts))

    def fail(self, lines: Sequence[str]) -> None:
        """Fail the test with these lines, if there are any."""
        if lines:
            lines = [
                *lines,
                f"if this is meant: --pipeline-update-baseline, and commit {self.path}",
            ]
            pytest.fail("\n".join(lines), pytrace=False)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Count each workload at each batch size, and each stage of the first workload."""
    config = metafunc.config
    try:
        CountsCheck.of(config)
        data_of(settings_of(config))
        workloads = [workload_named(name) for name in _workloads(config)]
    except (PipelineError, pytest.UsageError) as error:
        raise pytest.Collector.CollectError(f"usage error: {error}") from error
    if "workload_name" in metafunc.fixturenames:
        metafunc.parametrize("workload_name", _workloads(config))
    if "batch_size" in metafunc.fixturenames:
        metafunc.parametrize("batch_size", _batch_sizes(config))
    if "stage_name" in metafunc.fixturenames:
        names = [stage.name for stage in workloads[0].transforms]
        metafunc.parametrize("stage_name", names)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say what was written."""
    held = config.stash.get(_HELD, None)
    if held is not None and held.update:
        terminalreporter.line(f"written: {held.path}; its diff is for the review")


def where(workload: str, batch_size: int) -> str:
    """Return what the names of a run's counts begin with."""
    return f"{workload} at batch size {batch_size}"


def _workloads(config: pytest.Config) -> Sequence[str]:
    if "workload" in settings_given(config):
        return settings_of(config).workload
    return WORKLOADS


def _batch_sizes(config: pytest.Config) -> Sequence[int]:
    if "batch_sizes" in settings_given(config):
        return settings_of(config).batch_sizes
    return BATCH_SIZES


@pytest.fixture(scope="session")
def baseline_check(request: pytest.FixtureRequest) -> CountsCheck:
    """The file of counts."""
    return CountsCheck.of(request.config)


@pytest.fixture(scope="session")
def runs_counted(request: pytest.FixtureRequest) -> list[str]:
    """What the names of all counts of this session begin with."""
    return [
        where(workload, size)
        for workload in _workloads(request.config)
        for size in _batch_sizes(request.config)
    ]


@pytest.fixture(scope="session")
def first_workload(request: pytest.FixtureRequest) -> str:
    """The workload whose instructions are counted."""
    return _workloads(request.config)[0]


@pytest.fixture(scope="session")
def dataset_named(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Dataset]:
    """Makes the records of a workload, once for each."""
    data = data_of(settings_of(request.config))
    folder = tmp_path_factory.mktemp("counts")
    made: dict[str, Dataset] = {}

    def dataset_named(name: str) -> Dataset:
        if name not in made:
            given = None if name in _MAKE_THEIR_OWN else data
            made[name] = counted_dataset(workload_named(name), folder, given)
        return made[name]

    return dataset_named


_MAKE_THEIR_OWN = frozenset({"work-items", "mixed"})
