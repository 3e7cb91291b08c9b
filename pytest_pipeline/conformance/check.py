"""A check of the contract: an id, the reason for it, and the function that runs."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pytest_pipeline.conformance.ingest_under_test import IngestUnderTest
from pytest_pipeline.conformance.stage_under_test import AnyStage
from pytest_pipeline.conformance.transform_under_test import TransformUnderTest

#: The kind of stage that a check is made of.
Tested = TypeVar("Tested", bound=AnyStage)

#: Returns why a check does not apply to a stage; "" if it applies.
Need = Callable[[Any], str]


@dataclass(frozen=True)
class Check(Generic[Tested]):
    """One check of the contract."""

    #: Never changes, since declarations name it.
    id: str
    #: Why a stage must pass it, in one sentence. Printed with each failure.
    why: str
    needs: tuple[Need, ...]
    function: Callable[[Tested], Any]

    def skipped_because(self, stage: Tested) -> str:
        """Return why the check does not apply to this stage; "" if it applies."""
        reasons = [reason for need in self.needs if (reason := need(stage))]
        return reasons[0] if reasons else ""

    def run(self, stage: Tested) -> None:
        """Run the check; raise Violation if the stage does not pass it."""
        running = self.function(stage)
        if inspect.iscoroutine(running):
            asyncio.run(running)


def check(
    check_id: str, *needs: Need
) -> Callable[[Callable[[Tested], Any]], Check[Tested]]:
    """Turn a function into a check, whose reason is the function's docstring.

    Args:
        check_id: the id, such as "reply.in-order".
        needs: each returns why the check does not apply to a stage, or "". Every check
            needs the stage to serve the workload.
    """

    def make(function: Callable[[Tested], Any]) -> Check[Tested]:
        why = " ".join((function.__doc__ or "").split())
        return Check(check_id, why, (serves_workload, *needs), function)

    return make


def serves_workload(stage: AnyStage) -> str:
    """Skip workloads that the stage does not declare to serve."""
    if stage.serves_workload:
        return ""
    declared = ", ".join(stage.declaration.workloads or ())
    return f"declared: it serves {declared}, not {stage.workload.name}"


def is_started_by_command(stage: AnyStage) -> str:
    """Skip servers that run already: they can't be stopped and started here."""
    if stage.server.kind == "subprocess":
        return ""
    return "it was given by its address, so it is not ours to start and stop"


def is_told_a_folder(stage: AnyStage) -> str:
    """Skip servers that were told no folder, so that no file can be put there."""
    if stage.folder is not None:
        return ""
    return "it was told no folder; put {folder} into its command, or declare folder"


def reads_a_file(stage: IngestUnderTest) -> str:
    """Skip sources that read no file, and servers that were told no folder."""
    if not stage.reads_file:
        return f"the source of {stage.workload.name} reads no file"
    return is_told_a_folder(stage)


def has_its_source(stage: IngestUnderTest) -> str:
    """Skip sources that read a file where the server was told no folder."""
    return is_told_a_folder(stage) if stage.reads_file else ""


def reads_lines(stage: IngestUnderTest) -> str:
    """Skip sources that are not `LINES`, and servers that were told no folder."""
    if not stage.reads_lines:
        return f"the source of {stage.workload.name} reads no lines of a file"
    return is_told_a_folder(stage)


def can_be_empty(stage: IngestUnderTest) -> str:
    """Skip sources of which it is not known how they are told to be empty."""
    if not (stage.reads_lines or stage.is_sized):
        return f"the source of {stage.workload.name} can't be told to be empty"
    return has_its_source(stage)


def keeps_no_state(stage: TransformUnderTest) -> str:
    """Skip stages that declare to keep state between batches."""
    return "declared: it keeps state" if stage.declaration.keeps_state else ""


def declares_reflection(stage: AnyStage) -> str:
    """Skip stages that do not declare whether they serve reflection."""
    undeclared = stage.declaration.reflection is None
    return "reflection is not declared" if undeclared else ""


def declares_timing(stage: TransformUnderTest) -> str:
    """Skip stages that do not declare whether their replies have times."""
    return "timing is not declared" if stage.declaration.timing is None else ""


def has_limit(stage: TransformUnderTest) -> str:
    """Skip stages that do not declare a limit of message size."""
    limit = stage.declaration.max_message_bytes
    if limit is None:
        return "max_message_bytes is not declared"
    return "" if limit else "declared: it takes messages of any size"
