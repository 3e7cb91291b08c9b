"""A check of the contract: an id, the reason for it, and the function that runs."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pytest_pipeline.conformance.stage_under_test import StageUnderTest

#: Returns why a check does not apply to a stage; "" if it applies.
Need = Callable[[StageUnderTest], str]


@dataclass(frozen=True)
class Check:
    """One check of the contract."""

    #: Never changes, since declarations name it.
    id: str
    #: Why a stage must pass it, in one sentence. Printed with each failure.
    why: str
    needs: tuple[Need, ...]
    function: Callable[[StageUnderTest], Awaitable[None] | None]

    def skipped_because(self, stage: StageUnderTest) -> str:
        """Return why the check does not apply to this stage; "" if it applies."""
        reasons = [reason for need in self.needs if (reason := need(stage))]
        return reasons[0] if reasons else ""

    def run(self, stage: StageUnderTest) -> None:
        """Run the check; raise Violation if the stage does not pass it."""
        running = self.function(stage)
        if inspect.iscoroutine(running):
            asyncio.run(running)


def check(
    check_id: str, *needs: Need
) -> Callable[[Callable[[StageUnderTest], Any]], Check]:
    """Turn a function into a check, whose reason is the function's docstring.

    Args:
        check_id: the id, such as "reply.in-order".
        needs: each returns why the check does not apply to a stage, or "". Every check
            needs the stage to serve the workload.
    """

    def make(function: Callable[[StageUnderTest], Any]) -> Check:
        why = " ".join((function.__doc__ or "").split())
        return Check(check_id, why, (serves_workload, *needs), function)

    return make


def serves_workload(stage: StageUnderTest) -> str:
    """Skip workloads that the stage does not declare to serve."""
    if stage.serves_workload:
        return ""
    declared = ", ".join(stage.declaration.workloads or ())
    return f"declared: it serves {declared}, not {stage.workload.name}"


def is_started_by_command(stage: StageUnderTest) -> str:
    """Skip servers that run already: they can't be stopped and started here."""
    if stage.server.kind == "subprocess":
        return ""
    return "it was given by its address, so it is not ours to start and stop"


def keeps_no_state(stage: StageUnderTest) -> str:
    """Skip stages that declare to keep state between batches."""
    return "declared: it keeps state" if stage.declaration.keeps_state else ""


def declares_reflection(stage: StageUnderTest) -> str:
    """Skip stages that do not declare whether they serve reflection."""
    undeclared = stage.declaration.reflection is None
    return "reflection is not declared" if undeclared else ""


def declares_timing(stage: StageUnderTest) -> str:
    """Skip stages that do not declare whether their replies have times."""
    return "timing is not declared" if stage.declaration.timing is None else ""


def has_limit(stage: StageUnderTest) -> str:
    """Skip stages that do not declare a limit of message size."""
    limit = stage.declaration.max_message_bytes
    if limit is None:
        return "max_message_bytes is not declared"
    return "" if limit else "declared: it takes messages of any size"
