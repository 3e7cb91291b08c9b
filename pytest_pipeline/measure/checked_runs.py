"""Runs that are measured, each of which must give what the monolith gives."""

from __future__ import annotations

import math
from pathlib import Path

from pipeline.accounting import RunReport
from pipeline.engines.base import Engine
from pipeline.engines.monolith import MonolithEngine
from pipeline.errors import ConservationError
from pytest_pipeline.measure.dataset import Dataset

# Batches of the first run, from which the others are sized.
_PROBED_BATCHES = 2
# The monolith that a run is checked against goes through all records in few batches.
_EXPECTED_BATCH = 1000


class CheckedRuns:
    """Runs of one dataset on any engine, with the result below ``folder``."""

    def __init__(self, dataset: Dataset, folder: Path) -> None:
        self.dataset = dataset
        self._output = folder / "result"
        self._expected: dict[int, bytes] = {}

    def run(self, engine: Engine, batch_size: int, records: int) -> RunReport:
        """Run the first ``records`` records and check the result.

        Raises ConservationError where it is not that of the monolith.
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
        """Return with how many records a run takes about so many seconds.

        It is a round number, so that most sessions come to the same, and a batch at
        least, if there are as many.
        """
        available = self.dataset.available or math.inf
        records = min(_PROBED_BATCHES * batch_size, available)
        while True:
            elapsed_s = self.run(engine, batch_size, int(records)).elapsed_s
            if elapsed_s >= seconds / 2 or records >= available:
                break
            # Not too far at once: what comes first is slow.
            records = min(records * min(10, seconds / elapsed_s), available)
        wanted = min(records * seconds / elapsed_s, available)
        return int(min(max(_rounded(wanted), batch_size), available))

    def result_of(self, records: int) -> bytes:
        """Return what the monolith makes of the first ``records`` records."""
        if records not in self._expected:
            MonolithEngine().run(
                self.dataset.settings(records, _EXPECTED_BATCH, self._output)
            )
            self._expected[records] = self._output.read_bytes()
        return self._expected[records]


def _rounded(value: float) -> int:
    """Return the largest of 1, 2, 5, 10, 20, … that is not above ``value``."""
    if value < 1:
        return 1
    power = 10 ** math.floor(math.log10(value))
    leading = max(digit for digit in (1, 2, 5) if digit * power <= value)
    return int(leading * power)
