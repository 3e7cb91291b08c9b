"""Lines that arrive through a pipe, each when it is due."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.workloads import workload_named
from pytest_pipeline.measure.dataset import dataset_of
from pytest_pipeline.measure.references.piped_arrivals import Feeder, arrivals_by_pipe
from tests.clock import StandingClock

LINES = [b"first\n", b"second line\n", b"third\n", b"4\n"]


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A named pipe."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def test_each_line_is_written_when_it_is_due(pipe: Path) -> None:
    """Two are due by the time of the first wait that ends late."""
    clock, waits = StandingClock(), list[float]()

    def wait(seconds: float) -> bool:
        waits.append(round(seconds, 3))
        clock.now += 0.15 if len(waits) == 1 else seconds
        return False

    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with Feeder(pipe, LINES, 10.0, clock, wait):
        pass
    with os.fdopen(reader, "rb") as file:
        written = file.read()

    assert written == b"".join(LINES)
    # The first is due at once, the second at 0.1, the third at 0.2 and so on.
    assert waits == [0.1, 0.05, 0.1]


def test_a_feeder_ends_while_its_pipe_is_full(pipe: Path) -> None:
    """Nobody reads any more, since the run has failed."""
    with Feeder(pipe, [b"x" * 1000 + b"\n"] * 2000, 1e9):
        pass

    assert "feeder" not in {thread.name for thread in threading.enumerate()}


def test_records_that_are_no_lines_can_not_arrive(tmp_path: Path) -> None:
    """The error says which workload."""
    dataset = dataset_of(workload_named("work-items"), tmp_path)

    with pytest.raises(UsageError, match="workload work-items: its records are no"):
        arrivals_by_pipe(
            dataset, [], tmp_path, rate_per_s=1.0, batch_size="auto", records=1
        )
