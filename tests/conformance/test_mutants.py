"""Every mutant, a stage that is broken in one way, is caught by the right check."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.workloads import workload_named
from pytest_pipeline.conformance.catalogue import CHECKS, UNDER_TEST, kind_of
from pytest_pipeline.conformance.declaration import Declaration
from pytest_pipeline.conformance.stage_under_test import AnyStage
from pytest_pipeline.conformance.transform_under_test import TransformUnderTest
from pytest_pipeline.conformance.verdict import Verdict, judge
from pytest_pipeline.fixtures import StageServerFactory
from tests.conformance.mutants import MUTANTS
from tests.conformance.mutants.honest import Honest, HonestServer
from tests.conformance.mutants.honest_ingest import HonestIngest
from tests.conformance.mutants.honest_sink import HonestSink
from tests.conformance.mutants.program import HONEST, PROGRAMS
from tests.node import EXAMPLE, NODE

#: Seconds to wait for a mutant that does not answer.
PATIENCE_S = 1.0

#: The mutants in Node, and the check that must catch each.
IN_NODE = {
    "wraps-at-32-bits": "result.payload",
    "rounds-large-values": "result.payload",
    "ignores-the-half-close": "stream.half-close",
    "answers-at-the-end": "reply.prompt",
    "swallows-errors": "payload.unknown-type",
}

HONEST_STAGES = [
    *(
        (Honest, workload, stage)
        for workload in ("events", "work-items", "mixed")
        for stage in ("parse", "rules", "aggregate")
    ),
    (HonestIngest, "events", "ingest"),
    (HonestSink, "events", "sink"),
]

BY_ADDRESS = "it was given by its address, so it is not ours to start and stop"

StageOf = Callable[..., AnyStage]


@pytest.fixture
def stage_of(stage_server: StageServerFactory, tmp_path: Path) -> Iterator[StageOf]:
    """Serve a stage and return it as a stage under test."""
    served: list[HonestServer] = []

    def stage_of(honest: HonestServer, timeout_s: float = 10.0) -> AnyStage:
        served.append(honest)
        honest.folder = tmp_path / "served"
        honest.folder.mkdir()
        server = stage_server(
            honest, name=honest.stage, add_to_server=honest.add_to_server
        )
        return UNDER_TEST[kind_of(honest.stage)](
            server,
            workload_named(honest.workload),
            honest.stage,
            declaration=replace(honest.declaration, folder=honest.folder),
            timeout_s=timeout_s,
        )

    yield stage_of
    for honest in served:
        honest.is_over.set()


def judged(check_id: str, stage: AnyStage) -> Verdict:
    """Judge a stage by the check of its kind with that id."""
    return judge(CHECKS[stage.kind][check_id], stage)


def not_passed(stage: AnyStage) -> dict[str, Verdict]:
    """Judge a stage by all checks of its kind; return the verdicts that are no pass."""
    found = {check_id: judged(check_id, stage) for check_id in CHECKS[stage.kind]}
    return {
        check_id: verdict
        for check_id, verdict in found.items()
        if verdict.status != "passed"
    }


@pytest.mark.parametrize(
    ("mutant", "check_id"),
    [
        pytest.param(mutant, check_id, id=f"{mutant.__name__}-{check_id}")
        for mutant in MUTANTS
        for check_id in mutant.caught_by
    ],
)
def test_a_mutant_is_caught(
    stage_of: StageOf, mutant: type[HonestServer], check_id: str
) -> None:
    """The check fails the stage."""
    verdict = judged(check_id, stage_of(mutant(), PATIENCE_S))

    assert verdict.status == "failed"


@pytest.mark.parametrize(
    ("program", "stage"),
    [
        (program, stage)
        for program in PROGRAMS
        for stage in HONEST
        # It takes ten seconds to end, and only the open stream differs between kinds.
        if stage == "parse" or program != "outlives-sigterm"
    ],
)
def test_a_mutant_of_the_process_is_caught(
    stage_server: StageServerFactory, program: str, stage: str
) -> None:
    """These mutants break what a server does as a process."""
    module = "tests.conformance.mutants.program"
    server = stage_server(
        [sys.executable, "-m", module, program, stage, "{folder}"], name=stage
    )
    tested = UNDER_TEST[kind_of(stage)](
        server, workload_named("events"), stage, timeout_s=PATIENCE_S
    )

    assert judged(PROGRAMS[program], tested).status == "failed"


def in_node(
    stage_server: StageServerFactory, mutant: str, timeout_s: float
) -> TransformUnderTest:
    """Start a mutant in Node and return it as a stage under test."""
    program = Path(__file__).parent / "mutants" / "mutants.mjs"
    return TransformUnderTest(
        stage_server([NODE, str(program), str(EXAMPLE), mutant], name="rules"),
        workload_named("events"),
        "rules",
        declaration=Declaration(reflection=False, timing=False, max_message_bytes=0),
        timeout_s=timeout_s,
    )


@pytest.mark.usefixtures("installed_node_example")
@pytest.mark.parametrize("mutant", IN_NODE)
def test_a_mutant_in_node_is_caught(
    stage_server: StageServerFactory, mutant: str
) -> None:
    """The checks do not depend on the language of the stage."""
    stage = in_node(stage_server, mutant, PATIENCE_S)

    assert judged(IN_NODE[mutant], stage).status == "failed"


@pytest.mark.usefixtures("installed_node_example")
def test_the_example_in_node_passes_every_check(
    stage_server: StageServerFactory,
) -> None:
    """Only the limit, which it declares not to have, is skipped."""
    assert not_passed(in_node(stage_server, "none", 10.0)) == {
        "limit.over": Verdict("skipped", "declared: it takes messages of any size"),
    }


@pytest.mark.parametrize(("honest", "workload", "stage"), HONEST_STAGES)
def test_an_honest_stage_passes_every_check(
    stage_of: StageOf, honest: type[HonestServer], workload: str, stage: str
) -> None:
    """So a check that fails a mutant fails because of its mutation."""

    class HonestStage(honest):  # type: ignore[valid-type, misc]
        """The honest stage of one workload."""

        declaration = Declaration(reflection=False, timing=False, max_message_bytes=0)

    HonestStage.workload, HonestStage.stage = workload, stage
    tested = stage_of(HonestStage())

    assert not_passed(tested) == {
        check_id: Verdict("skipped", why)
        for check_id, why in (
            ("start.handshake", BY_ADDRESS),
            ("stop.drain", BY_ADDRESS),
            ("limit.over", "declared: it takes messages of any size"),
        )
        if check_id in CHECKS[tested.kind]
    }


@pytest.mark.parametrize("kind", CHECKS)
def test_there_is_a_mutant_for_each_check(kind: Any) -> None:
    """A check that no mutant fails may be unable to fail."""
    caught_by = {
        check_id
        for mutant in MUTANTS
        if kind_of(mutant.stage) == kind
        for check_id in mutant.caught_by
    }

    assert caught_by | set(PROGRAMS.values()) == set(CHECKS[kind])


def test_every_mutant_class_is_in_the_list() -> None:
    """Each of them names a check that must catch it."""
    folder = Path(__file__).parent / "mutants"
    defined = sum(
        len(re.findall(r"\((Honest|HonestIngest|HonestSink)\):", path.read_text()))
        for path in folder.glob("*.py")
    )

    assert len(MUTANTS) == defined >= 77
    assert all(mutant.caught_by for mutant in MUTANTS)
