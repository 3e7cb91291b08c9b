"""Cutting a stream of lines into batches, without doing any I/O.

Bytes go in as they were read, in blocks of any size; batches come out. How the
stream was cut into blocks makes no difference to the batches, but where a linger is
set: then it matters when a line came, by a clock that the batcher is given.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipeline.errors import UsageError

DEFAULT_BATCH_RECORDS = 1000
# Large enough that 100,000 ordinary events are one batch; small enough that a few
# copies of one fit beside an interpreter in 150 MiB.
DEFAULT_BATCH_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """When a batch is full: at so many records or so many payload bytes.

    A single record over the byte limit is a batch of its own. Raises UsageError for
    a limit below 1, or a linger that is no time.
    """

    records: int = DEFAULT_BATCH_RECORDS
    bytes: int = DEFAULT_BATCH_BYTES
    #: Seconds from its first record after which a batch is cut though it is not full;
    #: None is never. Only a source that waits for its records, such as standard input,
    #: has a use for it: one that makes them, or reads a file, fills every batch.
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


@dataclass(frozen=True, slots=True)
class LineBatch:
    """Consecutive lines, each ended by LF."""

    #: Sequence number of the first line, from 1.
    first_record: int
    records: int
    text: bytes
    #: Positions in this batch of lines that were too long; they are empty in ``text``.
    too_long: list[int]


class LineBatcher:
    """Cuts blocks of bytes into batches of whole lines.

    LF and CR LF end a line; the last line may lack its end. Of a line over
    ``max_line_bytes`` (its end not counted) the content is dropped as it arrives, so
    the memory held is bounded by one batch, one line and one block. ``max_records`` 0
    means all.

    The linger of the limits is for the caller to keep, who alone can wait: it asks
    `due_in_s`, and then for `cut_due`. A batch lingers from when its first whole line
    was taken, in seconds of ``clock``.
    """

    def __init__(
        self,
        limits: BatchLimits,
        max_line_bytes: int,
        max_records: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._max_line_bytes = max_line_bytes
        self._max_records = max_records
        self._clock = clock
        self._taken = 0
        # The batch under way: its lines, without LF, and their bytes, with it.
        self._lines: list[bytes] = []
        self._bytes = 0
        self._too_long: list[int] = []
        # When it has lingered long enough.
        self._due = math.inf
        # The line under way: what is there of it, or that it is being dropped.
        self._partial = b""
        self._dropping = False

    @property
    def done(self) -> bool:
        """Whether ``max_records`` is reached, so that more input changes nothing."""
        return 0 < self._max_records <= self._taken

    @property
    def held_bytes(self) -> int:
        """Bytes held for the batch and the line under way."""
        return self._bytes + len(self._partial)

    def due_in_s(self) -> float:
        """Return the seconds until the batch under way is due; inf if it never is."""
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
        lines = data.split(b"\n")
        self._partial = lines.pop()
        # One byte over may still be the CR of a line end.
        if len(self._partial) > self._max_line_bytes + 1:
            self._partial, self._dropping = b"", True
        # No line can be too long where all of them together are not.
        if len(data) > self._max_line_bytes:
            too_long += self._empty_long(lines)
        if self._max_records:
            del lines[self._max_records - self._taken :]
        yield from self._take(lines, too_long)

    def cut_due(self) -> Iterator[LineBatch]:
        """Yield the batch under way if it is due; a line without its end stays."""
        if self._due <= self._clock():
            yield self._cut()

    def finish(self) -> Iterator[LineBatch]:
        """Take the end of the stream; yield what is left."""
        if self._partial or self._dropping:
            yield from self.feed(b"\n")
        if self._lines:
            yield self._cut()

    def _take(self, lines: list[bytes], too_long: list[int]) -> Iterator[LineBatch]:
        """Add whole lines; ``too_long`` has the positions of those that were."""
        start = 0
        while start < len(lines):
            taken = lines[start : start + self._limits.records - len(self._lines)]
            size = _size(taken)
            if self._bytes + size > self._limits.bytes:
                taken = self._fitting(taken)
                size = _size(taken)
                if not taken:
                    yield self._cut()
                    continue
            if too_long:
                self._too_long += [
                    len(self._lines) + position - start
                    for position in too_long
                    if start <= position < start + len(taken)
                ]
            # From now, not from when the block came: that handing on a batch before
            # this one took its time is no reason to cut this one short.
            if not self._lines and self._limits.linger_s is not None:
                self._due = self._clock() + self._limits.linger_s
            self._lines += taken
            self._bytes += size
            self._taken += len(taken)
            start += len(taken)
            if len(self._lines) == self._limits.records:
                yield self._cut()

    def _empty_long(self, lines: list[bytes]) -> list[int]:
        """Drop the content of the lines that are too long; return their positions."""
        limit = self._max_line_bytes
        too_long = [
            position
            for position, line in enumerate(lines)
            if len(line) > limit and len(line.removesuffix(b"\r")) > limit
        ]
        for position in too_long:
            lines[position] = b""
        return too_long

    def _fitting(self, lines: list[bytes]) -> list[bytes]:
        """Return the first of ``lines``, as many as the batch under way has room for.

        An empty batch has room for one line of any size.
        """
        room = self._limits.bytes - self._bytes
        for position, line in enumerate(lines):
            room -= len(line) + 1
            if room < 0 and (position or self._lines):
                return lines[:position]
        return lines

    def _cut(self) -> LineBatch:
        records = len(self._lines)
        self._lines.append(b"")  # so that the last line, too, is ended by LF
        batch = LineBatch(
            first_record=self._taken - records + 1,
            records=records,
            text=b"\n".join(self._lines),
            too_long=self._too_long,
        )
        self._lines, self._bytes, self._too_long = [], 0, []
        self._due = math.inf
        return batch


def _size(lines: list[bytes]) -> int:
    return sum(map(len, lines)) + len(lines)
