"""Choose the size of batches while a run goes on, from what its batches cost.

At each stage a batch takes a fixed time, and a time for each record in it. Throughput
gains little from batches in which the fixed time is a small share already, while larger
ones only add to the latency.
"""

from __future__ import annotations

#: Most bytes of payload in a batch: about 5,700 events. Of the fixed sizes that
#: ``benchmarks/throughput.py`` measures, 5,000 is the fastest.
BATCH_BYTES = 640 * 1024

# The fixed time is at most one part in so many of what a batch takes.
_PARTS = 20
# How many times as large as a batch that was measured the next may be. An estimate from
# few records is too rough to rely on.
_MOST_GROWTH = 16
# What each batch leaves of the weight of those before it.
_MEMORY = 0.9


class BatchSizer:
    """Chooses how many records the next batch may have.

    Args:
        fixed_s: Seconds that any batch takes, in what is not observed.
    """

    def __init__(self, fixed_s: float) -> None:
        self._fixed_s = fixed_s
        self._stages: dict[str, _StageCost] = {}

    def observe(self, stage: str, records: int, seconds: float) -> None:
        """Note how long a batch has occupied a stage.

        Args:
            stage: Name of the stage.
            records: Records that the batch had when it was ingested, 1 or more.
            seconds: From when the stage could begin it until its reply.
        """
        if stage not in self._stages:
            self._stages[stage] = _StageCost()
        self._stages[stage].observe(records, seconds)

    @property
    def records(self) -> int:
        """Most records of the next batch; 1 until a batch was observed."""
        if not self._stages:
            return 1
        stages = self._stages.values()
        fixed_s = max(self._fixed_s, *(stage.fixed_s for stage in stages))
        record_s = max(stage.record_s for stage in stages)
        most = _MOST_GROWTH * min(stage.largest for stage in stages)
        if record_s * most > _PARTS * fixed_s:
            most = int(_PARTS * fixed_s / record_s)
        # Two sizes are needed to tell the fixed time from that of the records.
        return max(1, most, *(stage.wanted for stage in stages))


class _StageCost:
    """What batches cost at one stage: a line through two points.

    One is the batch that took least, the other is the mean of the last ones. Other
    work on the machine makes batches slower, never faster.
    """

    def __init__(self) -> None:
        #: Records of the largest batch.
        self.largest = 0
        self._least = (0, 0.0)
        self._weight = self._records = self._seconds = 0.0

    def observe(self, records: int, seconds: float) -> None:
        """Note a batch."""
        self.largest = max(self.largest, records)
        if not self._weight or seconds < self._least[1]:
            self._least = (records, seconds)
        self._weight = self._weight * _MEMORY + 1
        self._records = self._records * _MEMORY + records
        self._seconds = self._seconds * _MEMORY + seconds

    @property
    def record_s(self) -> float:
        """Seconds for each further record; at most what the last batches took."""
        records, seconds = self._records / self._weight, self._seconds / self._weight
        if self.wanted:
            return seconds / records
        least_records, least_seconds = self._least
        slope = (seconds - least_seconds) / (records - least_records)
        return min(max(slope, 0.0), seconds / records)

    @property
    def fixed_s(self) -> float:
        """Seconds of a batch without records; 0 if that can't be told yet."""
        if self.wanted:
            return 0.0
        records, seconds = self._least
        return max(0.0, seconds - records * self.record_s)

    @property
    def wanted(self) -> int:
        """Records of the batch that is needed to tell; 0 if nothing is."""
        least = self._least[0]
        return 2 * least if self._records < 1.5 * least * self._weight else 0
