"""The wire contract: one test for each check, stage and workload."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.errors import PipelineError
from pytest_pipeline.conformance.targets import (
    Target,
    TargetJudge,
    declarations_of,
    targets_of,
)
from pytest_pipeline.conformance.verdict import Verdict
from pytest_pipeline.options import PipelineSettings, settings_of
from pytest_pipeline.records.data import check_samples

if TYPE_CHECKING:
    from pytest_pipeline.servers.pool import ServerPool


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each check for each given stage and each workload."""
    settings = settings_of(metafunc.config)
    try:
        check_samples(settings)
        targets = targets_of(settings)
        declarations_of(settings)
    except PipelineError as error:
        raise pytest.Collector.CollectError(f"usage error: {error}") from error
    if not targets:
        raise pytest.Collector.CollectError(
            "usage error: there is no stage to check; give --pipeline-stage "
            "NAME=COMMAND or NAME=ADDRESS"
        )
    metafunc.parametrize("target", targets, ids=str)


@pytest.fixture(scope="session")
def target_judge(
    pipeline_servers: ServerPool, pipeline_settings: PipelineSettings
) -> TargetJudge:
    """Start each stage once for all of its checks."""
    return TargetJudge(pipeline_servers, pipeline_settings)


@pytest.fixture
def verdict(
    request: pytest.FixtureRequest, target: Target, target_judge: TargetJudge
) -> Verdict:
    """Run the check.

    A fixture does it and not the test, so that pytest reports a fault of the check as
    an error and not as a failure.
    """
    found: Verdict | None = None
    try:
        found = target_judge.judge(target)
    finally:
        properties = target.entry(found).as_properties()
        request.node.user_properties.extend(properties)
    return found


def test_conformance(target: Target, verdict: Verdict) -> None:
    """A stage keeps the wire contract."""
    if verdict.status == "skipped":
        pytest.skip(verdict.message)
    if verdict.status == "known":
        pytest.xfail(verdict.message)
    if verdict.status == "reported":
        pytest.xfail(f"not required of this stage: {verdict.message}")
    if verdict.status == "failed":
        pytest.fail(
            f"stage {target.stage} of {target.workload}: {verdict.message}\n"
            f"{target.check.id}: {target.check.why}",
            pytrace=False,
        )
