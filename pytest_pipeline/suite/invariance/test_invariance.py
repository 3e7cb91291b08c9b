"""Results do not depend on how work is divided: one test for each property."""

from __future__ import annotations

import pytest

from pipeline.errors import PipelineError
from pipeline.workload import Workload
from pipeline.workloads import workload_named
from pytest_pipeline.invariance import InvarianceError, Property, properties_of
from pytest_pipeline.options import PipelineSettings, settings_of
from pytest_pipeline.records.data import check_samples, data_of


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each property for each workload."""
    settings = settings_of(metafunc.config)
    try:
        check_samples(settings)
        found = [
            pytest.param(workload, prop, id=f"{name}-{prop}")
            for name in settings.workload
            for workload in [workload_named(name)]
            for prop in properties_of(workload)
        ]
    except PipelineError as error:
        raise pytest.Collector.CollectError(f"usage error: {error}") from error
    metafunc.parametrize(("workload", "prop"), found)


def test_invariance(
    workload: Workload, prop: Property, pipeline_settings: PipelineSettings
) -> None:
    """A workload gives the same result however its records are divided."""
    data, examples = data_of(pipeline_settings), pipeline_settings.examples
    found = ""
    try:
        prop.search(workload, data=data, examples=examples)
    except InvarianceError as error:
        found = str(error)
    if found:
        pytest.fail(found, pytrace=False)
