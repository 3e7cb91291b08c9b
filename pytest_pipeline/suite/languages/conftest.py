"""Hooks and fixtures of the comparison of languages."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pipeline.transport.environment import configure_process

# This process drives the runs, so gRPC is configured before it is imported.
configure_process()

from pipeline.languages import LANGUAGES  # noqa: E402
from pytest_pipeline.measure.harness import Harness  # noqa: E402
from pytest_pipeline.measure.languages import Languages, not_built  # noqa: E402
from pytest_pipeline.measure.selection import selected_batch_sizes  # noqa: E402
from pytest_pipeline.options import settings_of  # noqa: E402

if TYPE_CHECKING:
    from pytest_pipeline.servers.pool import ServerPool

#: Batch sizes of the whole pipeline where the options give none. They rise, since the
#: peak of a process's memory never falls.
BATCH_SIZES = (1, 10, 50, 100, 1000)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Compare at each batch size, and name each language that is not built."""
    if "batch_size" in metafunc.fixturenames:
        sizes = selected_batch_sizes(metafunc.config, BATCH_SIZES)
        metafunc.parametrize("batch_size", sorted(sizes))
    if "language" in metafunc.fixturenames:
        metafunc.parametrize("language", LANGUAGES)


@pytest.fixture(scope="session")
def harness(
    request: pytest.FixtureRequest,
    pipeline_servers: ServerPool,
    tmp_path_factory: pytest.TempPathFactory,
) -> Harness:
    """The servers of this session, and runs whose results are checked."""
    folder = tmp_path_factory.mktemp("languages")
    return Harness(pipeline_servers, settings_of(request.config), folder)


@pytest.fixture(scope="session")
def languages_of(harness: Harness) -> Callable[..., Languages]:
    """Starts servers of a workload in each language that is built.

    Skips if none but Python is.
    """
    if len(not_built()) == len(LANGUAGES):
        pytest.skip("no language but Python is built; run: pipeline build-stages")
    return partial(Languages, harness)
