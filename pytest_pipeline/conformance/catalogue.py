"""All checks, and those that the contract requires, for each kind of stage."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from pipeline.stages import INGEST, SINK
from pytest_pipeline.conformance.check import Check
from pytest_pipeline.conformance.checks import (
    flow,
    payloads,
    replies,
    results,
    serving,
    sink_endings,
    sink_files,
    sink_results,
    source_batches,
    source_files,
    source_pipes,
    source_requests,
    streams,
    timing,
)
from pytest_pipeline.conformance.ingest_under_test import IngestUnderTest
from pytest_pipeline.conformance.sink_under_test import SinkUnderTest
from pytest_pipeline.conformance.stage_under_test import Kind, StageUnderTest
from pytest_pipeline.conformance.transform_under_test import TransformUnderTest

#: The version of the contract that `REQUIRED` belongs to.
CONTRACT = "v1"

#: What a stage of each kind is tested as.
UNDER_TEST: Mapping[Kind, type[StageUnderTest[Any]]] = {
    one.kind: one for one in (IngestUnderTest, TransformUnderTest, SinkUnderTest)
}

_MODULES: Mapping[Kind, tuple[Any, ...]] = {
    "ingest": (serving, source_batches, source_requests, source_files, source_pipes),
    "transform": (serving, timing, replies, streams, flow, payloads, results),
    "sink": (serving, sink_results, sink_endings, sink_files),
}

#: Every check by its id, in the order in which they run, for each kind of stage.
CHECKS: Mapping[Kind, Mapping[str, Check[Any]]] = {
    kind: {one.id: one for module in modules for one in module.CHECKS}
    for kind, modules in _MODULES.items()
}

#: The file that lists the required checks of each kind.
REQUIRED_FILES: Mapping[Kind, str] = {
    "ingest": f"required_ingest_{CONTRACT}.txt",
    "transform": f"required_{CONTRACT}.txt",
    "sink": f"required_sink_{CONTRACT}.txt",
}

#: The ids of the checks that a stage of each kind must pass. Frozen, since stages rely
#: on it.
REQUIRED: Mapping[Kind, frozenset[str]] = {
    kind: frozenset(
        line
        for line in files(__package__).joinpath(name).read_text().splitlines()
        if line and not line.startswith("#")
    )
    for kind, name in REQUIRED_FILES.items()
}


def kind_of(stage: str) -> Kind:
    """Return the kind of the stage of that name."""
    kinds: Mapping[str, Kind] = {INGEST: "ingest", SINK: "sink"}
    return kinds.get(stage, "transform")
