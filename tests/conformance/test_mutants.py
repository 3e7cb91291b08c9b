"""Every mutant, a stage that is broken in one way, is caught by the right check."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.workloads import workload_named
from pytest_pipeline.conformance.catalogue import CHECKS
from pytest_pipeline.conformance.declaration import Declaration
from pytest_pipeline.conformance.stage_under_test import StageUnderTest
from pytest_pipeline.conformance.verdict import Verdict, judge
from pytest_pipeline.fixtures import StageServerFactory
from tests.conformance.mutants import MUTANTS
from tests.conformance.mutants.honest import Honest
from tests.conformance.mutants.program import PROGRAMS
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
    (workload, stage)
    for workload in ("events", "work-items", "mixed")
    for stage in ("parse", "rules", "aggregate")
]

StageOf = Callable[..., StageUnderTest]


@pytest.fixture
def stage_of(stage_server: StageServerFactory) -> Iterator[StageOf]:
    """Serve a stage and return it as a stage under test."""
    served: list[Honest] = []

    def stage_of(honest: Honest, timeout_s: float = 10.0) -> StageUnderTest:
        served.append(honest)
        workload = workload_named(honest.workload)
        return StageUnderTest(
            stage_server(honest, name=honest.stage),
            workload,
            workload.transform(honest.stage),
            declaration=honest.declaration,
            timeout_s=timeout_s,
        )

    yield stage_of
    for honest in served:
        honest.is_over.set()


@pytest.mark.parametrize(
    ("mutant", "check_id"),
    [
        pytest.param(mutant, check_id, id=f"{mutant.__name__}-{check_id}")
        for mutant in MUTANTS
        for check_id in mutant.caught_by
    ],
)
def test_a_mutant_is_caught(
    stage_of: StageOf, mutant: type[Honest], check_id: str
) -> None:
    """The check fails the stage."""
    verdict = judge(CHECKS[check_id], stage_of(mutant(), PATIENCE_S))

    assert verdict.status == "failed"


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_mutant_of_the_process_is_caught(
    stage_server: StageServerFactory, program: str
) -> None:
    """These mutants break what a server does as a process."""
    workload = workload_named("events")
    server = stage_server(
        [sys.executable, "-m", "tests.conformance.mutants.program", program],
        name="parse",
    )
    stage = StageUnderTest(
        server, workload, workload.transform("parse"), timeout_s=PATIENCE_S
    )

    assert judge(CHECKS[PROGRAMS[program]], stage).status == "failed"


def in_node(
    stage_server: StageServerFactory, mutant: str, timeout_s: float
) -> StageUnderTest:
    """Start a mutant in Node and return it as a stage under test."""
    program = Path(__file__).parent / "mutants" / "mutants.mjs"
    workload = workload_named("events")
    return StageUnderTest(
        stage_server([NODE, str(program), str(EXAMPLE), mutant], name="rules"),
        workload,
        workload.transform("rules"),
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

    assert judge(CHECKS[IN_NODE[mutant]], stage).status == "failed"


@pytest.mark.usefixtures("installed_node_example")
def test_the_example_in_node_passes_every_check(
    stage_server: StageServerFactory,
) -> None:
    """Only the limit, which it declares not to have, is skipped."""
    stage = in_node(stage_server, "none", 10.0)
    found = {check_id: judge(check, stage) for check_id, check in CHECKS.items()}

    assert {
        check_id: verdict
        for check_id, verdict in found.items()
        if verdict.status != "passed"
    } == {
        "limit.over": Verdict("skipped", "declared: it takes messages of any size"),
    }


@pytest.mark.parametrize(("workload", "stage"), HONEST_STAGES)
def test_an_honest_stage_passes_every_check(
    stage_of: StageOf, workload: str, stage: str
) -> None:
    """So a check that fails a mutant fails because of its mutation."""

    class HonestStage(Honest):
        """The honest stage of one workload."""

        declaration = Declaration(reflection=False, timing=False, max_message_bytes=0)

    HonestStage.workload, HonestStage.stage = workload, stage
    tested = stage_of(HonestStage())
    found = {check_id: judge(check, tested) for check_id, check in CHECKS.items()}

    by_address = "it was given by its address, so it is not ours to start and stop"
    assert {
        check_id: verdict
        for check_id, verdict in found.items()
        if verdict.status != "passed"
    } == {
        "start.handshake": Verdict("skipped", by_address),
        "stop.drain": Verdict("skipped", by_address),
        "limit.over": Verdict("skipped", "declared: it takes messages of any size"),
    }


def test_there_is_a_mutant_for_each_check() -> None:
    """A check that no mutant fails may be unable to fail."""
    caught_by = {check_id for mutant in MUTANTS for check_id in mutant.caught_by}

    assert caught_by | set(PROGRAMS.values()) == set(CHECKS)


def test_every_mutant_class_is_in_the_list() -> None:
    """Each of them names a check that must catch it."""
    folder = Path(__file__).parent / "mutants"
    defined = sum(
        path.read_text().count("(Honest):")
        for path in folder.glob("*.py")
        if path.name != "program.py"
    )

    assert len(MUTANTS) == defined >= 24
    assert all(mutant.caught_by for mutant in MUTANTS)
