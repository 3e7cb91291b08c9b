"""Comparing the split with the monolith on given streams."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.stages import Output, stage
from pipeline.v1.events_pb2 import Amounts, Events
from pipeline.v1.lines_pb2 import Lines
from pipeline.workload import Workload
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.rules import rules
from pytest_pipeline.fixtures import StageServerFactory
from pytest_pipeline.invariance import InvarianceError, PartitionedStream, SplitStages
from pytest_pipeline.records.samples import sample

PARTITIONED = PartitionedStream(EVENTS, sample(EVENTS), (1, 9, 30))


def loses_a_record(events: Events) -> Output[Amounts]:
    """Count one record as filtered that passes."""
    output = rules(events)
    if not output.records:
        return output
    kept = Amounts(type=output.message.type[1:], value=output.message.value[1:])
    return Output(kept, output.records - 1, output.filtered + 1)


def doubles_a_value(events: Events) -> Output[Amounts]:
    """Double the values, and leave the counts as they are."""
    output = rules(events)
    output.message.value[:] = [2 * value for value in output.message.value]
    return output


def raises(events: Events) -> Output[Amounts]:
    """Raise ZeroDivisionError."""
    raise ZeroDivisionError(f"no luck with {len(events.type)} events")


@pytest.mark.parametrize(
    ("function", "finding"),
    [
        (loses_a_record, "must give what the monolith gives: result"),
        (doubles_a_value, "must give what the monolith gives: result"),
        (raises, "must give what the monolith gives: failure"),
    ],
)
def test_a_split_that_differs_from_the_monolith_is_found(
    stage_server: StageServerFactory, function: object, finding: str
) -> None:
    """A stage served elsewhere must equal the function of the workload."""
    broken = stage_server(stage(function, "rules"))  # type: ignore[arg-type]
    addresses = {"rules": broken.address}

    with (
        SplitStages(EVENTS, addresses=addresses) as stages,
        pytest.raises(InvarianceError, match=finding),
    ):
        stages.check(PARTITIONED)


def test_both_engines_fail_with_the_same_message() -> None:
    """The message names the stage, the batch and its first record."""
    workload: Workload = replace(
        EVENTS,
        transforms=(
            EVENTS.transforms[0],
            stage(raises, "rules"),
            EVENTS.transforms[2],
        ),
    )

    with SplitStages(workload) as stages:
        outcome = stages.check(PartitionedStream(workload, PARTITIONED.stream, (50,)))

    assert outcome.failure.startswith(
        "FunctionError: stage rules: batch 0, from record 1: ZeroDivisionError"
    )
    assert outcome.result == outcome.rejects == b""


def test_the_split_runs_exactly_the_batches_of_the_partition() -> None:
    """The batch sizes come from the partition, not from the settings of the run."""
    with SplitStages(EVENTS, transport="tcp", replicas=2) as stages:
        outcome = stages.check(PARTITIONED)

    assert outcome.report is not None
    assert outcome.report.batches == 4
    assert outcome.report.records.ingested == len(PARTITIONED.stream)


def test_an_empty_line_is_rejected_as_a_record() -> None:
    """An empty line is not skipped."""
    lines = (Lines(first_record=1, text=b"\n"), Lines(first_record=2, text=b"\n"))
    partitioned = replace(
        PARTITIONED, stream=replace(PARTITIONED.stream, payloads=lines), partition=()
    )

    with SplitStages(EVENTS) as stages:
        outcome = stages.check(partitioned)

    assert outcome.report is not None
    assert outcome.report.rejections == {"blank_line": 2}
