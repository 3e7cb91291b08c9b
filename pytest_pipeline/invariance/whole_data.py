"""Check a property for the whole data, in every cut, and shrink what fails.

The search generates short streams. Sums of floats, buffers and message sizes go wrong
in long ones only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.workload import Workload
from pytest_pipeline.invariance.partitioned_stream import (
    InvarianceError,
    PartitionedStream,
)
from pytest_pipeline.invariance.shrinking import shrink
from pytest_pipeline.records.cuts import Cut
from pytest_pipeline.records.samples import repeated, whole
from pytest_pipeline.records.streams import Stream

#: Raises InvarianceError if a property does not hold for a partitioned stream.
PropertyCheck = Callable[[PartitionedStream], object]


@dataclass(frozen=True)
class Source:
    """Where the records come from."""

    workload: Workload
    data: bytes | None = None
    #: The name of the file that ``data`` was read from; empty if unknown.
    name: str = ""

    def streams(self, cuts: Sequence[Cut], most_batches: int) -> Iterator[LongStream]:
        """Yield the whole data and, if that is not long, its repetition."""
        given = whole(self.workload, self.data)
        kind = "sample records" if self.data is None else "records"
        name = f"{len(given):,} {kind}" + (f" of {self.name}" if self.name else "")
        yield LongStream(name, given, tuple(cuts), most_batches)
        longer = repeated(given)
        again = tuple(cut for cut in cuts if cut.is_for_repetition)
        if longer is not None and again:
            name += f" repeated to {len(longer):,}"
            yield LongStream(name, longer, again, most_batches)


@dataclass(frozen=True)
class LongStream:
    """A long stream, and how it is cut."""

    name: str
    stream: Stream
    cuts: tuple[Cut, ...]
    most_batches: int

    def cut(self, workload: Workload, cut: Cut) -> PartitionedStream:
        """Return the stream in the batches of a cut."""
        partition = cut.partition(self.stream, self.most_batches)
        return PartitionedStream(workload, self.stream, partition)

    def __str__(self) -> str:
        names = []
        for cut in self.cuts:
            small = cut.small_records(len(self.stream), self.most_batches)
            until = "" if small == len(self.stream) else f" (until record {small:,})"
            names.append(f"{cut.name}{until}")
        return f"{self.name} cut at {', '.join(names)}"


@dataclass(frozen=True)
class WholeFailure:
    """A long stream for which a property does not hold."""

    long: LongStream
    #: The error at each cut for which it does not hold; at least one.
    errors: dict[Cut, InvarianceError]
    #: The cuts for which it holds.
    held: tuple[Cut, ...]
    #: A smaller stream for which it does not hold either.
    smallest: PartitionedStream

    @property
    def cut(self) -> Cut:
        """The first cut for which it does not hold."""
        return next(iter(self.errors))


def whole_failure(
    source: Source, check: PropertyCheck, cuts: Sequence[Cut], most_batches: int
) -> WholeFailure | None:
    """Return what a property does not hold for; None if it holds for the whole data.

    Args:
        source: the data.
        check: the check of the property.
        cuts: how the data is cut.
        most_batches: see `Cut.partition`.
    """

    def fails(partitioned: PartitionedStream) -> bool:
        try:
            check(partitioned)
        except InvarianceError:
            return True
        return False

    for long in source.streams(cuts, most_batches):
        errors: dict[Cut, InvarianceError] = {}
        for cut in long.cuts:
            try:
                check(long.cut(source.workload, cut))
            except InvarianceError as error:
                errors[cut] = error
        if errors:
            cut_streams = (long.cut(source.workload, cut) for cut in errors)
            fewest = min(cut_streams, key=lambda one: len(one.partition))
            held = tuple(cut for cut in long.cuts if cut not in errors)
            return WholeFailure(long, errors, held, shrink(fewest, fails))
    return None
