"""Judge a stage by one check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pytest_pipeline.conformance.catalogue import REQUIRED
from pytest_pipeline.conformance.check import Check
from pytest_pipeline.conformance.errors import Violation
from pytest_pipeline.conformance.stage_under_test import AnyStage

Status = Literal["passed", "failed", "skipped", "known", "reported"]


@dataclass(frozen=True)
class Verdict:
    """The outcome of one check of one stage."""

    #: "known" is a failure that the stage declares. "reported" is the failure of a
    #: check that the contract does not require, and that the stage did not opt in to.
    status: Status
    #: Why it failed or was skipped; "" if it passed.
    message: str = ""


def judge(check: Check[Any], stage: AnyStage) -> Verdict:
    """Run a check and return its verdict.

    A known failure that passes or is skipped is stale, and its verdict is "failed".
    Exceptions are faults of the check, not of the stage.
    """
    known = stage.declaration.known_failures.get(check.id)
    skipped = check.skipped_because(stage)
    if skipped and known is not None:
        return Verdict("failed", f"stale: a known failure, but skipped: {skipped}")
    if skipped:
        return Verdict("skipped", skipped)
    try:
        check.run(stage)
    except Violation as violation:
        if known is not None:
            return Verdict("known", f"{known}\n{violation}")
        opted_in = check.id in stage.declaration.opt_in
        required = check.id in REQUIRED[stage.kind] or opted_in
        return Verdict("failed" if required else "reported", str(violation))
    if known is not None:
        return Verdict(
            "failed",
            f"stale: it passes now, so take it out of the known failures ({known})",
        )
    return Verdict("passed")
