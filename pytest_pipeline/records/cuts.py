"""Ways of cutting a long stream into batches, each with a name that repeats it."""

from __future__ import annotations

import math
import random
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count, repeat, takewhile

from pipeline.batching import DEFAULT_BATCH_BYTES
from pipeline.errors import UsageError
from pytest_pipeline.records.streams import Partition, Stream

#: The batch sizes that every long stream is cut into.
BATCH_SIZES = (1, 10, 100, 1000)

#: The batch size that follows once a cut has made as many small batches as it may.
_REST = 1000
_MOST_RANDOM = 2000

_RANDOM = re.compile(r"random:(\d+)")
_SIZES = "powers-of-two"
_ENDS = "ends-at-powers-of-two"


@dataclass(frozen=True)
class Cut:
    """A rule that cuts any stream into batches.

    Args:
        name: a batch size such as "10"; "random:SEED"; "powers-of-two", where batches
            have 1 record less than each power of two, as many, and 1 more;
            "ends-at-powers-of-two", where as many records come before the cuts.

    Raises:
        UsageError: the name is none of these.
    """

    name: str

    def __post_init__(self) -> None:
        is_size = self.name.isdecimal() and self.name.isascii() and int(self.name) > 0
        if not (
            is_size or _RANDOM.fullmatch(self.name) or self.name in (_SIZES, _ENDS)
        ):
            raise UsageError(
                f"cut {self.name!r}: must be a batch size, random:SEED, {_SIZES} or "
                f"{_ENDS}"
            )

    def partition(self, stream: Stream, most_batches: int) -> Partition:
        """Return the sizes of the batches of a stream, the last one included.

        A batch has at most the bytes that a batch of a run has by default.

        Args:
            stream: the stream.
            most_batches: after so many batches, the rest is cut into 1,000 records
                each.
        """
        return _limited(stream, self._sizes(), most_batches)

    @property
    def is_for_repetition(self) -> bool:
        """Whether records that are there many times are cut like this, too.

        They were in small batches already. What is left is that there are many.
        """
        return not self.name.isdecimal() or self.name == "100"

    def small_records(self, records: int, most_batches: int) -> int:
        """Return how many of the first records are cut by the rule itself."""
        if not self.name.isdecimal() or int(self.name) >= _REST:
            return records
        return min(records, most_batches * int(self.name))

    def _sizes(self) -> Iterator[int]:
        if self.name.isdecimal():
            return repeat(int(self.name))
        if self.name == _SIZES:
            return _around_powers()
        if self.name == _ENDS:
            return _between(near_powers_of_two(sys.maxsize))
        return _random_sizes(int(self.name.partition(":")[2]))


def cuts(seed: int) -> tuple[Cut, ...]:
    """Return every cut that data is tried with; ``seed`` is of the one at random."""
    names = (*map(str, BATCH_SIZES), f"random:{seed}", _SIZES, _ENDS)
    return tuple(map(Cut, names))


def fewest_batches(stream: Stream) -> Partition:
    """Return the sizes of the fewest batches that a stream fits in, nearly always one.

    A batch has at most the bytes that a batch of a run has by default.
    """
    return _limited(stream, repeat(max(1, len(stream))), most_batches=1)[:-1]


def near_powers_of_two(end: int) -> list[int]:
    """Return the numbers below ``end`` next to a power of two, or one; ascending."""
    powers = takewhile(lambda number: number <= end, (2**power for power in count()))
    near = {power + more for power in powers for more in (-1, 0, 1)}
    return sorted(number for number in near if 0 < number < end)


def _around_powers() -> Iterator[int]:
    """Yield 1, 2, 3, 4, 5, 8, 9, 7, 16, 17, 15, 32 and so on."""
    yield from (1, 2, 3)
    for power in count(2):
        # The power comes first: the last batches may not fit in the stream.
        yield from (2**power, 2**power + 1, 2**power - 1)


def _between(ends: Iterable[int]) -> Iterator[int]:
    before = 0
    for end in ends:
        yield end - before
        before = end


def _random_sizes(seed: int) -> Iterator[int]:
    draw = random.Random(seed)  # noqa: S311 - not for security
    while True:
        # As many sizes of one digit as of two, three or four.
        yield int(math.exp(draw.uniform(0, math.log(_MOST_RANDOM))))


def _limited(stream: Stream, sizes: Iterator[int], most_batches: int) -> Partition:
    """Cut at the sizes, and before a batch has too many bytes."""
    made: list[int] = []
    size, records, bytes_ = next(sizes), 0, 0
    for payload in stream.payloads:
        more = payload.ByteSize()
        if records and (records == size or bytes_ + more > DEFAULT_BATCH_BYTES):
            made.append(records)
            if records == size:
                small = len(made) < most_batches
                size = next(sizes) if small else max(size, _REST)
            records = bytes_ = 0
        records += 1
        bytes_ += more
    return (*made, records) if records else tuple(made)
