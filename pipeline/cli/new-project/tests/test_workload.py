"""The result is right, and it is the same however the work is divided."""

from __future__ import annotations

import pytest
from workload import READINGS, parse

from pipeline import Refused
from pytest_pipeline import PipelineRunner
from pytest_pipeline.invariance import check_workload

LINES = b"kitchen,21.5\nattic,30.25\nkitchen,22.5\nno number\nattic,warm\n"


@pytest.mark.pipeline(workload="workload:READINGS", batch_sizes=[1, 3])
def test_readings_are_summarised(run_pipeline: PipelineRunner) -> None:
    """The split, with a server for each stage, gives what one process gives."""
    run = run_pipeline(LINES)

    assert run.results == [
        {"sensor": "attic", "readings": 1, "mean": 30.25, "highest": 30.25},
        {"sensor": "kitchen", "readings": 2, "mean": 22.0, "highest": 22.5},
    ]
    assert run.output == run_pipeline(LINES, engine="monolith").output


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("21.5", "no_sensor"),
        (",21.5", "no_sensor"),
        ("attic,warm", "no_number"),
        ("attic,NaN", "no_number"),
        ("attic,1e9", "out_of_range"),
    ],
)
def test_a_bad_line_is_rejected_with_a_reason(line: str, reason: str) -> None:
    """The rejects file has the reason and the number of the line."""
    with pytest.raises(Refused) as refused:
        parse(line)

    assert refused.value.reason == reason


def test_the_result_does_not_depend_on_how_work_is_divided() -> None:
    """Nor on the order in which parts are merged."""
    check_workload(READINGS, data=LINES, examples=20)
