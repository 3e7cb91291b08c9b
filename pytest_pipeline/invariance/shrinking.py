"""Shrink a partitioned stream for which a property does not hold."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby

from google.protobuf.message import Message

from pytest_pipeline.invariance.partitioned_stream import PartitionedStream
from pytest_pipeline.records.streams import NUMBERED, Stream, numbered

# The search for a smaller stream ends after so many tries, or so many seconds.
_MOST_TRIES = 400
_MOST_SECONDS = 5.0

#: Records in order, each with the number of its batch.
_Records = Sequence[tuple[Message, int]]


def shrink(
    partitioned: PartitionedStream, fails: Callable[[PartitionedStream], bool]
) -> PartitionedStream:
    """Leave out records and cuts while the property still does not hold.

    Args:
        partitioned: a stream for which it does not hold.
        fails: returns whether it does not hold.

    Returns:
        The smallest stream that was found in 400 tries and 5 seconds. It has no record
        and no cut too many, unless one of the bounds was reached.
    """
    return _Shrinking(partitioned, fails).run()


class _Shrinking:
    def __init__(
        self, partitioned: PartitionedStream, fails: Callable[[PartitionedStream], bool]
    ) -> None:
        self._partitioned = partitioned
        self._fails = fails
        self._tries = _MOST_TRIES
        self._end = time.monotonic() + _MOST_SECONDS
        self._best = self._records(partitioned)

    def run(self) -> PartitionedStream:
        """Leave out halves of the records, quarters and so on, and then cuts."""
        length = len(self._best) // 2
        while length and self._goes_on():
            if not self._leave_out(length):
                length //= 2
            length = min(length, len(self._best) // 2)
        self._join_batches()
        return self._of(self._best)

    def _leave_out(self, length: int) -> bool:
        """Leave out each run of ``length`` records that is not needed, last first."""
        before = len(self._best)
        starts = [*range(0, before, length)][::-1]
        if not self._is_repeatable:
            # The records that are left must be consecutive.
            starts = [starts[0], 0]
        for start in starts:
            if len(self._best) > length:
                self._try([*self._best[:start], *self._best[start + length :]])
        return len(self._best) < before

    def _join_batches(self) -> None:
        """Join a batch with the next, as long as two are needed."""
        for at in range(len(self._best) - 1, 0, -1):
            batch, before = self._best[at][1], self._best[at - 1][1]
            if batch != before:
                self._try(
                    [(one, before if of == batch else of) for one, of in self._best]
                )

    def _try(self, records: _Records) -> None:
        if self._goes_on():
            self._tries -= 1
            if self._fails(self._of(records)):
                self._best = records

    def _goes_on(self) -> bool:
        return self._tries > 0 and time.monotonic() < self._end

    @property
    def _is_repeatable(self) -> bool:
        """Whether records may be left out between others, and are numbered again."""
        return isinstance(self._partitioned.stream.payloads[0], NUMBERED)

    def _of(self, records: _Records) -> PartitionedStream:
        payloads = tuple(payload for payload, _ in records)
        stream = numbered(payloads) if self._is_repeatable else Stream(payloads)
        batches = groupby(batch for _, batch in records)
        sizes = tuple(len(list(batch)) for _, batch in batches)
        return replace(self._partitioned, stream=stream, partition=sizes[:-1])

    @staticmethod
    def _records(partitioned: PartitionedStream) -> _Records:
        left = len(partitioned.stream)
        batches = [
            number
            for number, size in enumerate([*partitioned.partition, left])
            for _ in range(size)
        ]
        return list(zip(partitioned.stream.payloads, batches, strict=False))
