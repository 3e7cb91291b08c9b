"""A check of the contract: a name, a reason, and something to run."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pytest_pipeline.conformance.peer import Peer

#: Says why a check can't be made of a stage; nothing where it can.
Need = Callable[[Peer], str]


@dataclass(frozen=True)
class Check:
    """One check. Its id never changes."""

    id: str
    #: Why a stage must pass it, in one sentence.
    why: str
    needs: tuple[Need, ...]
    function: Callable[[Peer], Awaitable[None] | None]

    def skipped_because(self, peer: Peer) -> str:
        """Say why the check is not for this stage; nothing where it is."""
        reasons = [reason for need in self.needs if (reason := need(peer))]
        return reasons[0] if reasons else ""

    def run(self, peer: Peer) -> None:
        """Make the check; raise Violation where the stage does not pass it."""
        running = self.function(peer)
        if inspect.iscoroutine(running):
            asyncio.run(running)


def check(check_id: str, *needs: Need) -> Callable[[Callable[[Peer], Any]], Check]:
    """Make a check of a function, whose docstring is its reason."""

    def make(function: Callable[[Peer], Any]) -> Check:
        why = " ".join((function.__doc__ or "").split())
        return Check(check_id, why, (serves_workload, *needs), function)

    return make


def serves_workload(peer: Peer) -> str:
    """Only of workloads that the stage is declared to serve."""
    if peer.serves_workload:
        return ""
    declared = ", ".join(peer.declaration.workloads or ())
    return f"declared: it serves {declared}, not {peer.workload.name}"


def is_ours(peer: Peer) -> str:
    """Only of servers that were started by a command."""
    if peer.server.kind == "subprocess":
        return ""
    return "it was given by its address, so it is not ours to start and stop"


def keeps_no_state(peer: Peer) -> str:
    """Only of stages that are declared to keep none, as the contract has it."""
    return "declared: it keeps state" if peer.declaration.keeps_state else ""


def declares_reflection(peer: Peer) -> str:
    """Only where it is declared that there is reflection, or that there is none."""
    undeclared = peer.declaration.reflection is None
    return "reflection is not declared" if undeclared else ""


def declares_timing(peer: Peer) -> str:
    """Only where it is declared that times are told, or that they are not."""
    return "timing is not declared" if peer.declaration.timing is None else ""


def has_limit(peer: Peer) -> str:
    """Only where a limit of messages is declared."""
    limit = peer.declaration.max_message_bytes
    if limit is None:
        return "max_message_bytes is not declared"
    return "" if limit else "declared: it takes messages of any size"
