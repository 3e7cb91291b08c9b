"""The source of lines, from readers that wait, by a clock that stands."""

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
    """Blocks that come at their times; none is the end.

    It waits no longer than ``patience_s`` at once, however long it is let.
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
        """Fail the test: nobody can stop waiting here."""
        raise AssertionError

    def read_within(self, _: int, timeout_s: float, /) -> bytes | None:
        """Let the time pass until the next block comes, or there is none in time."""
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
    """A file of which each read gives two bytes, and takes an hour."""

    def __init__(self, clock: StandingClock, data: bytes) -> None:
        super().__init__(data)
        self._clock = clock

    def read(self, _: int | None = -1, /) -> bytes:
        """Return the next two."""
        self._clock.now += 3600
        return super().read(2)


class Opens:
    """Opens one reader, whatever it is asked for."""

    def __init__(self, reader: ByteReader) -> None:
        self._reader = reader

    def open(self, _: str) -> ByteReader:
        """Return it."""
        return self._reader


def batches(
    clock: StandingClock, reader: ByteReader, limits: BatchLimits, max_records: int = 0
) -> list[tuple[float, bytes]]:
    """Return when each batch was there, and its lines."""
    outputs = read_lines(
        line_source("in"), limits, max_records, Opens(reader), clock=clock
    )
    return [(clock.now, output.message.text) for output in outputs]


@pytest.mark.parametrize("patience_s", [math.inf, 0.5])
def test_a_batch_is_sent_when_it_has_lingered(patience_s: float) -> None:
    """Two seconds after its first whole line, and no earlier for a nervous reader."""
    clock = StandingClock()
    reader = SlowReader(clock, ARRIVALS, patience_s)

    assert batches(clock, reader, BatchLimits(3, linger_s=2)) == [
        (2, b"a\nb\n"),
        (6, b"c\nd\n"),
        (11, b"e\n"),
    ]


@pytest.mark.parametrize("patience_s", [math.inf, 0.5])
def test_without_a_linger_a_batch_waits_until_it_is_full(patience_s: float) -> None:
    """Or until the end."""
    clock = StandingClock()
    reader = SlowReader(clock, ARRIVALS, patience_s)

    assert batches(clock, reader, BatchLimits(3)) == [
        (4, b"a\nb\nc\n"),
        (20, b"d\ne\n"),
    ]


def test_a_batch_that_is_full_does_not_linger() -> None:
    """And the last that is wanted is sent without another look at the reader."""
    clock = StandingClock()
    reader = SlowReader(clock, ARRIVALS, math.inf)

    assert batches(clock, reader, BatchLimits(2, linger_s=10), max_records=3) == [
        (1, b"a\nb\n"),
        (4, b"c\n"),
    ]


def test_batches_of_a_file_are_full_whatever_the_linger() -> None:
    """Nobody waits for it, however long it takes to read."""
    clock = StandingClock()
    file = SlowFile(clock, b"a\nb\nc\nd\ne\n")

    texts = [text for _, text in batches(clock, file, BatchLimits(3, linger_s=1))]
    assert texts == [b"a\nb\nc\n", b"d\ne\n"]
