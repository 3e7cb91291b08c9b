"""The source of lines: when batches are cut, with a fake clock."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Self

import pytest

from pipeline.batching import BatchLimits
from pipeline.source import ByteReader
from pipeline.workloads.lines import line_source, read_lines
from tests.clock import StandingClock

ARRIVALS = [(0, b"a\n"), (1, b"b\n"), (4, b"c\nd"), (5, b"\n"), (9, b"e\n"), (20, b"")]


class SlowReader:
    """A reader whose blocks come at given times; an empty block is the end.

    One call waits at most ``patience_s`` seconds, even if its timeout is longer.
    """

    def __init__(
        self,
        clock: StandingClock,
        arrivals: Sequence[tuple[float, bytes]],
        patience_s: float,
    ) -> None:
        self._clock = clock
        self._arrivals = list(arrivals)
        self._patience_s = patience_s

    def read(self, _: int, /) -> bytes:
        """Fail the test: this call has no timeout."""
        raise AssertionError

    def read_within(self, _: int, timeout_s: float, /) -> bytes | None:
        """Advance the clock to the next block or the timeout."""
        assert timeout_s > 0, "a batch that is due has to be sent first"
        until = self._clock.now + min(timeout_s, self._patience_s)
        time, block = self._arrivals[0]
        self._clock.now = max(self._clock.now, min(time, until))
        if time > until:
            return None
        del self._arrivals[0]
        return block

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close nothing."""


class SlowFile(io.BytesIO):
    """A file whose reads return two bytes and take an hour."""

    def __init__(self, clock: StandingClock, data: bytes) -> None:
        super().__init__(data)
        self._clock = clock

    def read(self, _: int | None = -1, /) -> bytes:
        """Return the next two bytes."""
        self._clock.now += 3600
        return super().read(2)


class Opens:
    """Opens the same reader for every path."""

    def __init__(self, reader: ByteReader) -> None:
        self._reader = reader

    def open(self, _: str) -> ByteReader:
        """Return the reader."""
        return self._reader


def batches(
    clock: StandingClock, reader: ByteReader, limits: BatchLimits, max_records: int = 0
) -> list[tuple[float, bytes]]:
    """Return the time and the lines of each batch."""
    outputs = read_lines(
        line_source("in"), limits, max_records, Opens(reader), clock=clock
    )
    return [(clock.now, output.message.text) for output in outputs]


@pytest.mark.parametrize("patience_s", [math.inf, 0.5])
def test_a_batch_is_sent_when_it_has_lingered(patience_s: float) -> None:
    """The linger counts from the batch's first whole line."""
    clock = StandingClock()
    reader = SlowReader(clock, ARRIVALS, patience_s)

    assert batches(clock, reader, BatchLimits(3, linger_s=2)) == [
        (2, b"a\nb\n"),
        (6, b"c\nd\n"),
        (11, b"e\n"),
    ]


@pytest.mark.parametrize("patience_s", [math.inf, 0.5])
def test_without_a_linger_a_batch_waits_until_it_is_full(patience_s: float) -> None:
    """The end of the input cuts the last batch."""
    clock = StandingClock()
    reader = SlowReader(clock, ARRIVALS, patience_s)

    assert batches(clock, reader, BatchLimits(3)) == [
        (4, b"a\nb\nc\n"),
        (20, b"d\ne\n"),
    ]


def test_a_batch_that_is_full_does_not_linger() -> None:
    """The last wanted batch is sent without reading again."""
    clock = StandingClock()
    reader = SlowReader(clock, ARRIVALS, math.inf)

    assert batches(clock, reader, BatchLimits(2, linger_s=10), max_records=3) == [
        (1, b"a\nb\n"),
        (4, b"c\n"),
    ]


def test_linger_does_not_apply_to_files() -> None:
    """Batches are full even if reading takes longer than the linger."""
    clock = StandingClock()
    file = SlowFile(clock, b"a\nb\nc\nd\ne\n")

    texts = [text for _, text in batches(clock, file, BatchLimits(3, linger_s=1))]
    assert texts == [b"a\nb\nc\n", b"d\ne\n"]
