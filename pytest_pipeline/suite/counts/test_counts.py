"""Check that counts equal those of the baseline file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_pipeline.measure.baseline_file import run_name
from pytest_pipeline.measure.counts.baseline import Instructions
from pytest_pipeline.measure.counts.check import CountsCheck
from pytest_pipeline.measure.counts.instructions import (
    call_name,
    count_instructions,
    counter_here,
    fingerprint,
)
from pytest_pipeline.measure.counts.traffic import count_run
from pytest_pipeline.measure.dataset import Dataset


def test_what_crosses_the_legs(
    baseline_check: CountsCheck,
    dataset_named: Callable[[str], Dataset],
    workload_name: str,
    batch_size: int,
) -> None:
    """A run sends the messages and bytes of the baseline, exactly."""
    counts = count_run(dataset_named(workload_name), batch_size)

    baseline_check.check_run(run_name(workload_name, batch_size), counts)


def test_every_count_of_the_file_was_looked_at(
    baseline_check: CountsCheck, counted_runs: list[str]
) -> None:
    """The baseline file has no counts that this session does not check."""
    baseline_check.check_complete(counted_runs)


@pytest.fixture(scope="session")
def instructions(
    baseline_check: CountsCheck,
    dataset_named: Callable[[str], Dataset],
    first_workload: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Instructions:
    """The instructions of a call of each stage function of the first workload.

    Skips if they can't be counted here, or can't be compared with the baseline's.
    """
    counter = counter_here()
    if counter is None:
        pytest.skip("neither valgrind nor perf counts instructions here")
    baseline_check.skip_unless_comparable(fingerprint(counter))
    folder = Path(tmp_path_factory.mktemp("instructions"))
    return count_instructions(dataset_named(first_workload), folder, counter)


def test_instructions_of_a_call(
    baseline_check: CountsCheck,
    instructions: Instructions,
    first_workload: str,
    stage_name: str,
) -> None:
    """A stage function executes the instructions of the baseline, within 2 %."""
    baseline_check.check_instructions(
        call_name(first_workload, stage_name), instructions
    )
