"""Cut a stream of lines into batches, without doing any I/O.

Bytes go in as they were read, in blocks of any size; batches come out. The batches do
not depend on how the stream was cut into blocks, unless a linger is set: then they
depend on when each line arrived, by a clock that the caller may supply.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from pipeline.errors import UsageError
from pipeline.line_ends import end_of_lines

#: The batch size of a run that chooses the size of each batch itself.
AUTO: Final = "auto"

#: Most records in a batch, or ``auto``.
BatchSize = int | Literal["auto"]

DEFAULT_BATCH_RECORDS = 1000
# Large enough for a batch of 100,000 ordinary events. Small enough that a few copies of
# a batch fit beside an interpreter in 150 MiB.
DEFAULT_BATCH_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """When a batch is cut.

    Raises:
        UsageError: A limit is below 1, or the linger is not a finite time above 0.
    """

    #: Most records in a batch.
    records: int = DEFAULT_BATCH_RECORDS
    #: Most bytes of payload. A single record over the limit is a batch of its own.
    bytes: int = DEFAULT_BATCH_BYTES
    #: Seconds from its first record after which a batch is cut even if it is not full;
    #: None for never. It matters only to a source that waits for its records, such as
    #: standard input. One that makes them, or reads a file, fills every batch.
    linger_s: float | None = None

    def __post_init__(self) -> None:
        if self.records < 1:
            raise UsageError(f"batch size {self.records}: must be 1 or more")
        if self.bytes < 1:
            raise UsageError(f"batch bytes {self.bytes}: must be 1 or more")
        if self.linger_s is not None and not 0 < self.linger_s < math.inf:
            raise UsageError(
                f"linger {self.linger_s}: must be a finite number of seconds above 0"
            )


class LiveLimits(BatchLimits):
    """Limits that may change after each batch: those of batch size ``auto``.

    Their linger is so short that a source waits for one record only.
    """

    __slots__ = ()

    def __init__(self, records: int, bytes_: int) -> None:
        super().__init__(records, bytes_, linger_s=1e-9)

    def change(self, records: int, bytes_: int) -> None:
        """Set the limits of the next batch.

        Raises:
            UsageError: A limit is below 1.
        """
        checked = BatchLimits(records, bytes_)
        object.__setattr__(self, "records", checked.records)
        object.__setattr__(self, "bytes", checked.bytes)


def limits_of(batch_size: BatchSize) -> BatchLimits | None:
    """Return the limits of a run with this batch size; None for ``auto``."""
    return None if batch_size == AUTO else BatchLimits(batch_size)


@dataclass(frozen=True, slots=True)
class LineBatch:
    """Consecutive lines, each ended by LF."""

    #: Sequence number of the first line, from 1.
    first_record: int
    records: int
    text: bytes
    #: Positions in this batch of the lines that were too long. They are empty in
    #: ``text``.
    too_long: list[int]


class LineBatcher:
    """Cuts blocks of bytes into batches of whole lines.

    LF and CR LF end a line; the last line may lack its end. The content of a line that
    is too long is dropped as it arrives, so the memory held is bounded by one batch,
    one line and one block.

    The batcher can't wait, so the caller keeps the linger of the limits: it waits
    `due_in_s`, then calls `cut_due`. A batch lingers from the time when its first whole
    line was taken.

    Args:
        limits: When a batch is cut.
        max_line_bytes: Longest line that is kept, without its end.
        max_records: Stop after so many lines; 0 takes all.
        clock: Returns the time in seconds.
    """

    def __init__(
        self,
        limits: BatchLimits,
        max_line_bytes: int,
        max_records: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        #: Whether the linger of the limits applies to the lines that are fed.
        self.lingers = True
        self._limits = limits
        self._max_line_bytes = max_line_bytes
        self._max_records = max_records
        self._clock = clock
        self._taken = 0
        # The unfinished batch: pieces of text that end with LF, and what they have.
        self._pieces: list[bytes] = []
        self._records = 0
        self._bytes = 0
        self._too_long: list[int] = []
        # Bytes of a line, as of late.
        self._mean_bytes = 1
        # When its linger ends.
        self._due = math.inf
        # The unfinished line: its beginning, or that it is being dropped.
        self._partial = b""
        self._dropping = False

    @property
    def done(self) -> bool:
        """Whether ``max_records`` is reached, so that further input is ignored."""
        return 0 < self._max_records <= self._taken

    @property
    def held_bytes(self) -> int:
        """Bytes held for the unfinished batch and line."""
        return self._bytes + len(self._partial)

    def due_in_s(self) -> float:
        """Return the seconds until the linger of the unfinished batch ends, or inf."""
        return max(0.0, self._due - self._clock())

    def feed(self, block: bytes) -> Iterator[LineBatch]:
        """Take the next bytes of the stream; yield the batches that they fill."""
        too_long: list[int] = []
        if self._dropping:
            end = block.find(b"\n")
            if end < 0:
                return
            self._dropping = False
            too_long.append(0)
            block = block[end:]
        data = self._partial + block
        end = data.rfind(b"\n") + 1
        text, self._partial = data[:end], data[end:]
        # One byte over may still be the CR of a line end.
        if len(self._partial) > self._max_line_bytes + 1:
            self._partial, self._dropping = b"", True
        # If all lines together are not too long, no line is.
        if len(data) > self._max_line_bytes:
            text, more = self._without_long(text)
            too_long += more
        yield from self._take(text, too_long)

    def cut_due(self) -> Iterator[LineBatch]:
        """Yield the unfinished batch if its linger has ended; keep a partial line."""
        if self._due <= self._clock():
            yield self._cut()

    def end_line(self) -> Iterator[LineBatch]:
        """End the unfinished line, if there is one: no more of it follows."""
        if self._partial or self._dropping:
            yield from self.feed(b"\n")

    def finish(self) -> Iterator[LineBatch]:
        """Take the end of the stream; yield what is left."""
        yield from self.end_line()
        if self._records:
            yield self._cut()

    def _take(self, text: bytes, too_long: list[int]) -> Iterator[LineBatch]:
        """Add whole lines; ``too_long`` has the positions of those too long."""
        start = taken = 0
        while start < len(text) and not self.done:
            room = self._limits.records - self._records
            if room <= 0:  # the limits have changed
                yield self._cut()
                continue
            if self._max_records:
                room = min(room, self._max_records - self._taken)
            # A batch that begins with a line over the limit is full.
            room_bytes = max(0, self._limits.bytes - self._bytes)
            stop = min(len(text), start + room_bytes)
            end, count = end_of_lines(text, start, stop, room, self._mean_bytes)
            if not count:
                if self._records:
                    yield self._cut()
                    continue
                # An empty batch has room for one line of any size.
                end, count = text.find(b"\n", start) + 1, 1
            if too_long:
                self._too_long += [
                    self._records + position - taken
                    for position in too_long
                    if taken <= position < taken + count
                ]
            # From now, not from when the block arrived: the time that the consumer of
            # an earlier batch took must not shorten the linger of this one.
            if not self._records and self.lingers:
                self._linger()
            self._pieces.append(text[start:end])
            self._records += count
            self._bytes += end - start
            self._taken += count
            self._mean_bytes = (end - start) // count
            start, taken = end, taken + count
            if self._records >= self._limits.records:
                yield self._cut()

    def _linger(self) -> None:
        if self._limits.linger_s is not None:
            self._due = self._clock() + self._limits.linger_s

    def _without_long(self, text: bytes) -> tuple[bytes, list[int]]:
        """Drop the content of the lines that are too long; return their positions."""
        limit = self._max_line_bytes
        lines = text.split(b"\n")
        too_long = [
            position
            for position, line in enumerate(lines)
            if len(line) > limit and len(line.removesuffix(b"\r")) > limit
        ]
        for position in too_long:
            lines[position] = b""
        return b"\n".join(lines), too_long

    def _cut(self) -> LineBatch:
        pieces = self._pieces
        batch = LineBatch(
            first_record=self._taken - self._records + 1,
            records=self._records,
            text=pieces[0] if len(pieces) == 1 else b"".join(pieces),
            too_long=self._too_long,
        )
        self._pieces, self._too_long = [], []
        self._records = self._bytes = 0
        self._due = math.inf
        return batch
