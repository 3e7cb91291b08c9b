"""Configuration of this project's own tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from pipeline.transport.environment import configure_process

pytest_plugins = ["pytester"]

# Before anything imports gRPC, as the command line does it.
configure_process()

# What a run of the tests finds must not depend on the day: the same examples each
# time, and no deadline on a shared machine.
settings.register_profile("default", deadline=None, derandomize=True)
settings.register_profile("ci", settings.get_profile("default"), max_examples=2_000)
# By night other examples each time; a failure prints what repeats it.
settings.register_profile(
    "nightly", deadline=None, max_examples=50_000, print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_configure(config: pytest.Config) -> None:
    """Let ``pytest --benchmark-only`` run the shipped suite, as a user would.

    The project's own tests are no benchmarks, and would all be skipped.
    """
    if (
        config.getoption("benchmark_only", default=False)
        and config.args_source is pytest.Config.ArgsSource.TESTPATHS
    ):
        from pytest_pipeline.suite import benchmarks

        config.args[:] = [str(Path(benchmarks.__file__).parent)]
