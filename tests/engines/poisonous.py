"""A workload of events, some of which end each server of a stage."""

from __future__ import annotations

import os
from dataclasses import replace

from pipeline import stage
from pipeline.stages import Output, cut_columns
from pipeline.v1.events_pb2 import Amounts, Events
from pipeline.v1.lines_pb2 import Lines
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.parse import parse as parse_events
from pipeline.workloads.events.rules import rules as apply_rules


def die() -> None:
    """End the process, as a crash in a library in C does."""
    os._exit(1)


def parse(lines: Lines) -> Output[Events]:
    """Parse lines, unless one is of the user ``kills-parse``."""
    if b'"kills-parse"' in lines.text:
        die()
    return parse_events(lines)


def rules(events: Events) -> Output[Amounts]:
    """Apply the rules, unless an event is of the user ``kills-rules``."""
    if "kills-rules" in events.user:
        die()
    return apply_rules(events)


POISONOUS = replace(
    EVENTS,
    name="tests.engines.poisonous:POISONOUS",
    transforms=(
        stage(parse, cut=cut_columns),
        stage(rules),
        EVENTS.transform("aggregate"),
    ),
)
