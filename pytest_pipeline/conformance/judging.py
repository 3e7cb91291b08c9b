"""Judging a stage by one check: the verdict, with what was known before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_pipeline.conformance.catalogue import REQUIRED
from pytest_pipeline.conformance.check import Check
from pytest_pipeline.conformance.leg import Violation
from pytest_pipeline.conformance.peer import Peer

Status = Literal["passed", "failed", "skipped", "known", "reported"]


@dataclass(frozen=True)
class Verdict:
    """What a check has found.

    ``known`` is a failure that was declared, ``reported`` one of a check that the
    contract does not require of this stage.
    """

    status: Status
    message: str = ""


def judge(check: Check, peer: Peer) -> Verdict:
    """Make a check of a stage.

    Whatever is raised is a fault of the checking, not of the stage.
    """
    known = peer.declaration.known_failures.get(check.id)
    skipped = check.skipped_because(peer)
    if skipped and known is not None:
        return Verdict("failed", f"stale: a known failure, but skipped: {skipped}")
    if skipped:
        return Verdict("skipped", skipped)
    try:
        check.run(peer)
    except Violation as violation:
        if known is not None:
            return Verdict("known", f"{known}\n{violation}")
        required = check.id in REQUIRED or check.id in peer.declaration.opt_in
        return Verdict("failed" if required else "reported", str(violation))
    if known is not None:
        return Verdict(
            "failed",
            f"stale: it passes now, so take it out of the known failures ({known})",
        )
    return Verdict("passed")
