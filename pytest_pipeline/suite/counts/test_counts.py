"""Counts are what the committed file says, to the last one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.workloads import workload_named
from pytest_pipeline.measure.counts.baseline import Instructions, more_or_less
from pytest_pipeline.measure.counts.crossings import count_run
from pytest_pipeline.measure.counts.instructions import (
    RECORDS,
    counter_here,
    fingerprint,
    first_messages,
    instructions_of,
)
from pytest_pipeline.measure.dataset import Dataset
from pytest_pipeline.suite.counts.conftest import CountsCheck, where


def test_what_crosses_the_legs(
    baseline_check: CountsCheck,
    dataset_named: Callable[[str], Dataset],
    workload_name: str,
    batch_size: int,
) -> None:
    """A run sends as many messages, of as many bytes, as it did."""
    counts = count_run(dataset_named(workload_name), batch_size)

    baseline_check.hold(where(workload_name, batch_size), counts)


def test_every_count_of_the_file_was_looked_at(
    baseline_check: CountsCheck, runs_counted: list[str]
) -> None:
    """What the file has of other runs would be held to nothing."""
    if baseline_check.update:
        baseline_check.baseline.drop_others(runs_counted)
        baseline_check.baseline.write(baseline_check.path)
    baseline = baseline_check.baseline
    baseline_check.fail(
        [
            f"{name}: nothing counts this, baseline {baseline.counts[name]:,}"
            for name in baseline.others(runs_counted)
        ]
    )


@pytest.fixture(scope="session")
def instructions(
    baseline_check: CountsCheck,
    dataset_named: Callable[[str], Dataset],
    first_workload: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Instructions:
    """Instructions of a call of each stage function of the first workload.

    Skips where they can't be counted, or not be compared.
    """
    counter = counter_here()
    if counter is None:
        pytest.skip("neither valgrind nor perf counts instructions here")
    here, was = fingerprint(counter), baseline_check.baseline.instructions
    if not baseline_check.update:
        if was is None:
            pytest.skip("the baseline was made where nothing counts instructions")
        _skip_if_another(was.fingerprint, here)
    workload = workload_named(first_workload)
    per_call = instructions_of(
        workload,
        first_messages(dataset_named(first_workload)),
        Path(tmp_path_factory.mktemp("instructions")),
        counter.count,
    )
    return Instructions(
        here,
        {_named(first_workload, stage): count for stage, count in per_call.items()},
    )


def test_instructions_of_a_call(
    baseline_check: CountsCheck,
    instructions: Instructions,
    first_workload: str,
    stage_name: str,
) -> None:
    """A stage function executes as many instructions as it did, within a tolerance."""
    name = _named(first_workload, stage_name)
    if baseline_check.update:
        baseline_check.baseline.instructions = instructions
        baseline_check.baseline.write(baseline_check.path)
    was = baseline_check.baseline.instructions
    if was is not None:
        line = more_or_less(name, was.per_call.get(name), instructions.per_call[name])
        baseline_check.fail([line] if line else [])


def _named(workload: str, stage: str) -> str:
    return f"{workload}: a call of {stage} with {RECORDS} records"


def _skip_if_another(was: dict[str, str], here: dict[str, str]) -> None:
    others = [
        f"{name} {here.get(name)}, baseline {was.get(name)}"
        for name in sorted(was.keys() | here)
        if was.get(name) != here.get(name)
    ]
    if others:
        pytest.skip(f"instructions of another kind: {'; '.join(others)}")
