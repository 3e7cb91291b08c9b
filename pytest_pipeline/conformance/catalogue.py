"""All checks, and those that the contract requires."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from pytest_pipeline.conformance.check import Check
from pytest_pipeline.conformance.checks import (
    flow,
    payloads,
    replies,
    results,
    serving,
    streams,
)

#: The version of the contract that `REQUIRED` belongs to.
CONTRACT = "v1"

#: Every check by its id, in the order in which they run.
CHECKS: Mapping[str, Check] = {
    one.id: one
    for module in (serving, replies, streams, flow, payloads, results)
    for one in module.CHECKS
}

#: The ids of the checks that a stage must pass. Frozen, since stages rely on it.
REQUIRED = frozenset(
    line
    for line in files(__package__)
    .joinpath(f"required_{CONTRACT}.txt")
    .read_text()
    .splitlines()
    if line and not line.startswith("#")
)
