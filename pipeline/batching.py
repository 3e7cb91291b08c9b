"""Cutting a stream of lines into batches, without doing any I/O.

Bytes go in as they were read, in blocks of any size; batches come out. How the
stream was cut into blocks makes no difference to the batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.errors import UsageError

LF = 0x0A
CR = 0x0D

DEFAULT_BATCH_RECORDS = 1000
# Large enough that 100,000 ordinary events are one batch; small enough that a few
# copies of one fit beside an interpreter in 150 MiB.
DEFAULT_BATCH_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """When a batch is full: at so many records or so many payload bytes.

    A single record over the byte limit is a batch of its own. Raises UsageError for
    a limit below 1.
    """

    records: int = DEFAULT_BATCH_RECORDS
    bytes: int = DEFAULT_BATCH_BYTES

    def __post_init__(self) -> None:
        if self.records < 1:
            raise UsageError(f"batch size {self.records}: must be 1 or more")
        if self.bytes < 1:
            raise UsageError(f"batch bytes {self.bytes}: must be 1 or more")


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
    """

    def __init__(
        self, limits: BatchLimits, max_line_bytes: int, max_records: int = 0
    ) -> None:
        self._limits = limits
        self._max_line_bytes = max_line_bytes
        self._max_records = max_records
        self._taken = 0
        # The batch under way.
        self._parts: list[bytes] = []
        self._records = 0
        self._bytes = 0
        self._too_long: list[int] = []
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
        ends = _line_ends(data)
        whole = int(ends[-1]) if len(ends) else 0
        self._partial = data[whole:]
        # One byte over may still be the CR of a line end.
        if len(self._partial) > self._max_line_bytes + 1:
            self._partial, self._dropping = b"", True
        # No line can be too long where the whole lines together are not.
        if whole > self._max_line_bytes:
            data, ends, too_long = self._without_long_lines(data, ends, too_long)
        yield from self._take(data, ends, too_long)

    def finish(self) -> Iterator[LineBatch]:
        """Take the end of the stream; yield what is left."""
        if self._partial or self._dropping:
            yield from self.feed(b"\n")
        if self._records:
            yield self._cut()

    def _without_long_lines(
        self, data: bytes, ends: npt.NDArray[np.intp], too_long: list[int]
    ) -> tuple[bytes, npt.NDArray[np.intp], list[int]]:
        sizes = np.diff(ends, prepend=0) - 1
        long = [
            line
            for line in np.flatnonzero(sizes > self._max_line_bytes).tolist()
            if sizes[line] > self._max_line_bytes + 1 or data[ends[line] - 2] != CR
        ]
        if not long:
            return data, ends, too_long
        pieces = []
        position = 0
        for line in long:
            pieces.append(data[position : ends[line] - 1 - sizes[line]])
            position = ends[line] - 1
        data = b"".join([*pieces, data[position : ends[-1]]])
        return data, _line_ends(data), too_long + long

    def _take(
        self, data: bytes, ends: npt.NDArray[np.intp], too_long: list[int]
    ) -> Iterator[LineBatch]:
        lines = len(ends)
        if self._max_records:
            lines = min(lines, self._max_records - self._taken)
        line = start = 0
        while line < lines:
            count = min(lines - line, self._limits.records - self._records)
            room = self._limits.bytes - self._bytes
            if ends[line + count - 1] - start > room:
                count = int(np.searchsorted(ends, start + room, side="right")) - line
                if count == 0 and self._records:
                    yield self._cut()
                    continue
                count = max(count, 1)
            end = int(ends[line + count - 1])
            self._parts.append(data[start:end])
            self._too_long += [
                self._records + at - line
                for at in too_long
                if line <= at < line + count
            ]
            self._records += count
            self._taken += count
            self._bytes += end - start
            line, start = line + count, end
            if (
                self._records == self._limits.records
                or self._bytes >= self._limits.bytes
            ):
                yield self._cut()

    def _cut(self) -> LineBatch:
        text = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        batch = LineBatch(
            first_record=self._taken - self._records + 1,
            records=self._records,
            text=text,
            too_long=self._too_long,
        )
        self._parts, self._records, self._bytes, self._too_long = [], 0, 0, []
        return batch


def _line_ends(data: bytes) -> npt.NDArray[np.intp]:
    return np.flatnonzero(np.frombuffer(data, np.uint8) == LF) + 1
