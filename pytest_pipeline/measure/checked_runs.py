"""Runs whose results are checked against the monolith's."""

from __future__ import annotations

import math
from pathlib import Path

from pipeline.accounting import RunReport
from pipeline.batching import BatchSize
from pipeline.engines.base import Engine
from pipeline.engines.monolith import MonolithEngine
from pipeline.errors import ConservationError
from pytest_pipeline.measure.dataset import Dataset

# Batches of the first run, which the following ones are sized from.
_PROBED_BATCHES = 2
# At most how many times as many records the next run of the sizing has.
_MOST_GROWTH = 10
# The batch size of the monolith; its result does not depend on it.
_EXPECTED_BATCH = 1000


class CheckedRuns:
    """Runs of any engine on one dataset, each with the result of the monolith.

    Args:
        dataset: What to run on.
        folder: Where results are written.
    """

    def __init__(self, dataset: Dataset, folder: Path) -> None:
        self.dataset = dataset
        self._output = folder / "result"
        self._expected: dict[int, bytes] = {}

    def run(self, engine: Engine, batch_size: BatchSize, records: int) -> RunReport:
        """Run on the first ``records`` records and check the result.

        Raises:
            ConservationError: The result is not that of the monolith.
        """
        expected = self.result_of(records)
        report = engine.run(self.dataset.settings(records, batch_size, self._output))
        if self._output.read_bytes() != expected:
            raise ConservationError(
                f"{engine.name} at batch size {batch_size}: the result of {records} "
                f"records is not that of the monolith"
            )
        return report

    def records_for(self, engine: Engine, batch_size: int, seconds: float) -> int:
        """Return how many records make a run about ``seconds`` long.

        The number is rounded down to 1, 2 or 5 times a power of ten, so that most
        sessions use the same one. It is at least a batch, and at most what the dataset
        has.
        """
        available = self.dataset.available or math.inf
        records = min(_PROBED_BATCHES * batch_size, available)
        while True:
            elapsed_s = self.run(engine, batch_size, int(records)).elapsed_s
            if elapsed_s >= seconds / 2 or records >= available:
                break
            # In small steps, since the first records of a run are slow.
            records = min(records * min(_MOST_GROWTH, seconds / elapsed_s), available)
        wanted = min(records * seconds / elapsed_s, available)
        return int(min(max(_rounded(wanted), batch_size), available))

    def result_of(self, records: int) -> bytes:
        """Return the monolith's result of the first ``records`` records."""
        if records not in self._expected:
            MonolithEngine().run(
                self.dataset.settings(records, _EXPECTED_BATCH, self._output)
            )
            self._expected[records] = self._output.read_bytes()
        return self._expected[records]


def _rounded(value: float) -> int:
    """Return the largest of 1, 2, 5, 10, 20, … up to ``value``, or 1."""
    if value < 1:
        return 1
    power = 10 ** math.floor(math.log10(value))
    leading = max(digit for digit in (1, 2, 5) if digit * power <= value)
    return int(leading * power)
