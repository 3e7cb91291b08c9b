"""The wire contract: one test for each check, stage and workload."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import PipelineError, StageError, UsageError
from pipeline.stages import INGEST, SINK
from pipeline.workloads import workload_named
from pytest_pipeline.conformance.catalogue import CHECKS, REQUIRED
from pytest_pipeline.conformance.check import Check
from pytest_pipeline.conformance.declaration import Declaration, read_declarations
from pytest_pipeline.conformance.judging import Verdict, judge
from pytest_pipeline.conformance.peer import Peer
from pytest_pipeline.conformance.verdicts import Entry
from pytest_pipeline.options import PipelineSettings, settings_of
from pytest_pipeline.records.data import check_samples, data_of
from pytest_pipeline.servers.specification import stage_spec

if TYPE_CHECKING:
    from pytest_pipeline.servers.pool import ServerPool


@dataclass(frozen=True)
class Target:
    """A stage of a workload, and the check that it is to pass."""

    stage: str
    workload: str
    check: Check

    def __str__(self) -> str:
        return f"{self.stage}-{self.workload}-{self.check.id}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each check for each stage that was given, and each workload."""
    settings = settings_of(metafunc.config)
    try:
        check_samples(settings)
        targets = _targets(settings)
        _declarations(settings)
    except PipelineError as error:
        raise pytest.Collector.CollectError(f"usage error: {error}") from error
    if not targets:
        raise pytest.Collector.CollectError(
            "usage error: there is no stage to check; give --pipeline-stage "
            "NAME=COMMAND or NAME=ADDRESS of a transform stage"
        )
    metafunc.parametrize("target", targets, ids=str)


def _targets(settings: PipelineSettings) -> list[Target]:
    """Return what is to be checked; of ingest and the sink the contract has no checks.

    Raises UsageError for a stage that no workload has.
    """
    workloads = [workload_named(name) for name in settings.workload]
    targets = []
    for stage in settings.stages:
        having = [one.name for one in workloads if stage in one.stage_names]
        if not having:
            known = "; ".join(
                f"workload {one.name} has {', '.join(one.stage_names)}"
                for one in workloads
            )
            raise UsageError(f"stage {stage!r}: {known}")
        if stage not in (INGEST, SINK):
            targets += [
                Target(stage, name, check)
                for name in having
                for check in CHECKS.values()
            ]
    return targets


def _declarations(settings: PipelineSettings) -> dict[str, Declaration]:
    if settings.declarations is None:
        return {}
    return read_declarations(settings.declarations, set(CHECKS))


@pytest.fixture(scope="session")
def failed_starts() -> dict[tuple[str, str], str]:
    """Why a stage did not start, so that it is not tried again for each check."""
    return {}


@pytest.fixture
def verdict(
    request: pytest.FixtureRequest,
    target: Target,
    pipeline_servers: ServerPool,
    pipeline_settings: PipelineSettings,
    failed_starts: dict[tuple[str, str], str],
) -> Verdict:
    """What the check has found.

    It is made here and not in the test, so that a fault of the checking is an error
    and not a failure.
    """
    found: Verdict | None = None
    try:
        found = _judged(target, pipeline_servers, pipeline_settings, failed_starts)
    finally:
        entry = Entry(
            check=target.check.id,
            stage=target.stage,
            workload=target.workload,
            status="fault" if found is None else found.status,
            required=target.check.id in REQUIRED,
            why=target.check.why,
            message="" if found is None else found.message,
        )
        request.node.user_properties.extend(entry.as_properties())
    return found


def _judged(
    target: Target,
    servers: ServerPool,
    settings: PipelineSettings,
    failed_starts: dict[tuple[str, str], str],
) -> Verdict:
    workload = workload_named(target.workload)
    key = (target.stage, target.workload)
    try:
        if key in failed_starts:
            return Verdict("failed", failed_starts[key])
        # Other stages in the settings may be of other workloads, and aren't checked.
        (server,) = servers.shared([stage_spec(settings, workload, target.stage)])
    except StageError as error:
        failed_starts[key] = str(error)
        return Verdict("failed", str(error))
    return judge(
        target.check,
        Peer(
            server,
            workload,
            workload.transform(target.stage),
            declaration=_declarations(settings).get(target.stage),
            timeout_s=settings.reply_timeout,
            data=data_of(settings),
        ),
    )


def test_conformance(target: Target, verdict: Verdict) -> None:
    """A stage does what the wire contract says."""
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
