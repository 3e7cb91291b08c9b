"""What goes wrong in a run, and when: drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pipeline.stages import SINK
from pipeline.workloads.events import EVENTS

Kind = Literal[
    "kill", "terminate", "interrupt", "pause", "slow", "cut", "full disk", "truncate"
]

ORCHESTRATOR = "orchestrator"
INPUT = "input"

EVENTS_IN_RUN = 20_000
BATCH_SIZE = 20
BATCHES = EVENTS_IN_RUN // BATCH_SIZE

_TRANSFORMS = tuple(stage.name for stage in EVENTS.transforms)
_OF_A_STAGE: tuple[Kind, ...] = ("kill", "terminate", "pause", "slow", "cut")
#: What can go wrong with each process, and with the input.
KINDS_OF: Mapping[str, tuple[Kind, ...]] = {
    **dict.fromkeys(EVENTS.stage_names, _OF_A_STAGE),
    SINK: (*_OF_A_STAGE, "full disk"),
    ORCHESTRATOR: (*_OF_A_STAGE, "interrupt", "full disk"),
    INPUT: ("truncate",),
}
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0


@dataclass(frozen=True)
class Moment:
    """When something goes wrong."""

    stage: str
    #: 0 is when the stage's first process starts, n when the stage is about to handle
    #: its n-th batch. For the sink, one more than all batches is when it publishes.
    at: int

    def __str__(self) -> str:
        return f"{self.stage}:{self.at}"


@dataclass(frozen=True)
class Fault:
    """What goes wrong, once."""

    kind: Kind
    #: A stage, ORCHESTRATOR or INPUT.
    target: str
    moment: Moment
    #: Which of the servers of the stage.
    replica: int = 0
    #: How long a pause lasts; None is for ever.
    seconds: float | None = None
    #: The fraction of the input that is left of it.
    left: float = 0.0

    def __str__(self) -> str:
        """Return it in a few words, for a report of a failing seed."""
        more = f"/{self.replica}" if self.replica else ""
        if self.kind == "pause":
            more += " for ever" if self.seconds is None else f" for {self.seconds} s"
        if self.kind == "truncate":
            more += f" to {self.left:.0%}"
        return f"{self.kind} {self.target}{more} at {self.moment}"


@dataclass(frozen=True)
class Plan:
    """A run and its faults."""

    seed: int
    #: Servers of each transform stage.
    replicas: int
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        """Return it in one line, for a report of a failing seed."""
        faults = ", ".join(map(str, self.faults))
        return f"seed {self.seed}, replicas {self.replicas}: {faults}"


def draw_plan(seed: int) -> Plan:
    """Draw a run with one to three faults; the same seed draws the same one."""
    draw = random.Random(seed)  # noqa: S311 - nothing secret is drawn
    replicas = draw.choice([1, 2])
    count = draw.randint(1, 3)
    faults = tuple(_draw_fault(draw, replicas) for _ in range(count))
    return Plan(seed, replicas, faults)


def _draw_fault(draw: random.Random, replicas: int) -> Fault:
    target = draw.choice(list(KINDS_OF))
    kind = draw.choice(KINDS_OF[target])
    seconds: float | None = None
    # Who stops the orchestrator for ever has asked for a run that does not end.
    if target == ORCHESTRATOR or draw.random() < 0.5:
        seconds = round(draw.uniform(_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S), 2)
    return Fault(
        kind,
        target,
        _draw_moment(draw, can_be_a_start=target != INPUT),
        replica=draw.randrange(replicas) if target in _TRANSFORMS else 0,
        seconds=seconds,
        left=round(draw.random(), 2),
    )


def _draw_moment(draw: random.Random, *, can_be_a_start: bool) -> Moment:
    phase = draw.choices(["start", "batch", "publish"], [1, 8, 1])[0]
    if phase == "publish":
        return Moment(SINK, BATCHES + 1)
    # A file that is truncated before a run has opened it is just another input.
    if phase == "start" and can_be_a_start:
        return Moment(draw.choice([*EVENTS.stage_names, ORCHESTRATOR]), 0)
    return Moment(draw.choice(EVENTS.stage_names), draw.randint(1, BATCHES))
