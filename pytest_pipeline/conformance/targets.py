"""What a session checks: each check, of each stage that it was given, by workload."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.errors import StageError, UsageError
from pipeline.languages import programs_of
from pipeline.workloads import workload_named
from pytest_pipeline.conformance.catalogue import CHECKS, REQUIRED, UNDER_TEST, kind_of
from pytest_pipeline.conformance.check import Check
from pytest_pipeline.conformance.declaration import Declaration, read_declarations
from pytest_pipeline.conformance.report import Entry
from pytest_pipeline.conformance.verdict import Verdict, judge
from pytest_pipeline.options import PipelineSettings
from pytest_pipeline.records.data import data_of
from pytest_pipeline.servers.specification import stage_spec

if TYPE_CHECKING:
    from pytest_pipeline.servers.pool import ServerPool


@dataclass(frozen=True)
class Target:
    """One check to run on a stage, with one workload."""

    stage: str
    workload: str
    check: Check[Any]

    def __str__(self) -> str:
        return f"{self.stage}-{self.workload}-{self.check.id}"

    def entry(self, verdict: Verdict | None) -> Entry:
        """Return the entry for the report; no verdict means a fault of the check."""
        return Entry(
            check=self.check.id,
            stage=self.stage,
            workload=self.workload,
            status="fault" if verdict is None else verdict.status,
            required=self.check.id in REQUIRED[kind_of(self.stage)],
            why=self.check.why,
            message="" if verdict is None else verdict.message,
        )


def targets_of(settings: PipelineSettings) -> list[Target]:
    """Return a target for each check of each stage in the settings.

    Raises:
        UsageError: no workload in the settings has such a stage, or the settings name
            a language that can't be used.
    """
    workloads = [workload_named(name) for name in settings.workload]
    checked: dict[str, list[str]] = {}
    for stage in settings.serving:
        checked[stage] = [one.name for one in workloads if stage in one.stage_names]
        if not checked[stage]:
            known = "; ".join(
                f"workload {one.name} has {', '.join(one.stage_names)}"
                for one in workloads
            )
            raise UsageError(f"stage {stage!r}: {known}")
    for workload in workloads if settings.stages else ():
        for stage in programs_of(settings.stages, workload):
            if stage not in settings.serving:
                checked.setdefault(stage, []).append(workload.name)
    return [
        Target(stage, name, check)
        for stage, names in checked.items()
        for name in names
        for check in CHECKS[kind_of(stage)].values()
    ]


def declarations_of(settings: PipelineSettings) -> dict[str, Declaration]:
    """Read the declarations that the settings name; raise UsageError if wrong."""
    if settings.declarations is None:
        return {}
    return read_declarations(
        settings.declarations, lambda stage: CHECKS[kind_of(stage)]
    )


class TargetJudge:
    """Judges targets, and starts each stage once at most.

    Args:
        servers: the pool that starts the stages.
        settings: the settings of the session.
    """

    def __init__(self, servers: ServerPool, settings: PipelineSettings) -> None:
        self._servers = servers
        self._settings = settings
        self._declarations = declarations_of(settings)
        #: Why a stage did not start with a workload. It is not started again.
        self._failed_starts: dict[tuple[str, str], str] = {}

    def judge(self, target: Target) -> Verdict:
        """Run the check of a target; a stage that does not start has failed it."""
        key = (target.stage, target.workload)
        if key in self._failed_starts:
            return Verdict("failed", self._failed_starts[key])
        workload = workload_named(target.workload)
        # The other stages in the settings may belong to other workloads.
        spec = stage_spec(self._settings, workload, target.stage)
        try:
            (server,) = self._servers.shared([spec])
        except StageError as error:
            self._failed_starts[key] = str(error)
            return Verdict("failed", str(error))
        stage = UNDER_TEST[kind_of(target.stage)](
            server,
            workload,
            target.stage,
            declaration=self._declarations.get(target.stage),
            timeout_s=self._settings.reply_timeout,
            data=data_of(self._settings),
        )
        return judge(target.check, stage)
