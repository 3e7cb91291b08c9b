"""What the gate compares between two revisions."""

from __future__ import annotations

from typing import Any

from pytest_benchmark.fixture import BenchmarkFixture
from readings_pb2 import Summaries
from workload import READINGS

from pipeline import Lines

COUNT = 1000
BATCH = Lines(
    first_record=1,
    text=b"".join(b"sensor%d,%d.5\n" % (n % 8, n % 40) for n in range(COUNT)),
)


def test_a_batch_of_a_thousand_lines(benchmark: BenchmarkFixture) -> None:
    """All stages, without servers."""

    def process() -> Summaries:
        message: Any = BATCH
        for each in READINGS.transforms:
            message = each.function(message).message
        assert isinstance(message, Summaries)
        return message

    assert sum(one.readings for one in benchmark(process).summary) == COUNT
