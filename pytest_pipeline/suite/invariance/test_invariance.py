"""Results do not depend on how work is divided: one test for each property."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pipeline.engines.named import added_engines, engine_named
from pipeline.errors import PipelineError, UsageError
from pipeline.workload import Workload
from pipeline.workloads import workload_named
from pytest_pipeline.invariance import InvarianceError, Property, properties_of
from pytest_pipeline.invariance.failures import Failures
from pytest_pipeline.options import PipelineSettings, settings_of
from pytest_pipeline.records.data import check_samples, data_of
from pytest_pipeline.report.summary import HOLDS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each property for each workload."""
    settings = settings_of(metafunc.config)
    try:
        check_samples(settings)
        added = [_property_of_engine(name) for name in settings.engines]
        found = [
            pytest.param(workload, prop, id=f"{name}-{prop}")
            for name in settings.workload
            for workload in [workload_named(name)]
            for prop in (*properties_of(workload), *added)
        ]
    except PipelineError as error:
        raise pytest.Collector.CollectError(f"usage error: {error}") from error
    metafunc.parametrize(("workload", "prop"), found)


def _property_of_engine(name: str) -> Property:
    if name not in added_engines():
        raise UsageError(
            f"--pipeline-engines {name}: there is {', '.join(added_engines())}"
        )
    # It is installed.
    engine_named(name)()
    return Property(name)


def test_invariance(
    workload: Workload,
    prop: Property,
    pipeline_settings: PipelineSettings,
    record_property: Callable[[str, object], None],
) -> None:
    """A workload gives the same result however its records are divided."""
    path = pipeline_settings.data
    found = ""
    try:
        held = prop.search(
            workload,
            data=data_of(pipeline_settings),
            data_name=str(path) if path else "",
            examples=pipeline_settings.examples,
            failures=Failures.here(),
        )
        record_property(HOLDS, f"{workload.name}, {prop}: holds for {held}")
    except InvarianceError as error:
        found = str(error)
    if found:
        pytest.fail(found, pytrace=False)
