"""The floor: the same legs and bytes with stages that do nothing.

A floor workload has a name that says its transform stages, so that server processes can
import it: ``pytest_pipeline.measure.references.floor:of:parse,rules`` has two. What
`floor_of` returns sends, batch for batch, what a run before it sent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from statistics import mean

from google.protobuf.message import Message

from pipeline.accounting import RunReport
from pipeline.batching import BatchLimits
from pipeline.errors import UsageError
from pipeline.source import Opener, Source
from pipeline.stages import INGEST, SINK, Output, Stage
from pipeline.transport.wire import pack
from pipeline.v1.pipeline_pb2 import Batch, WriteRequest
from pipeline.workload import Workload
from pipeline.workloads import workload_named
from pytest_pipeline.measure.references.filler_pb2 import Filler, FillerSource

_PREFIX = "of:"
# Batches of which the numbers are looked at, for how many bytes they have.
_SAMPLED = 100


def floor_of(report: RunReport) -> tuple[Workload, FillerSource]:
    """Return the floor of a run of the split, and the source of as many batches.

    On each leg the messages to the next stage have, together, the bytes that they had
    in the run. What a stage said beside its payload is left out: rejections and times.
    Raises UsageError for a report without bytes, such as the monolith's.
    """
    stages = list(report.stages.items())
    transforms = [name for name, _ in stages if name not in (INGEST, SINK)]
    sizes: list[int] = []
    # From the last leg back: a message has the sizes of those that follow.
    for name, stage in reversed(stages[1:]):
        if not stage.messages_in:
            raise UsageError(
                f"the floor of a run: no batch went to stage {name} over a leg; give "
                f"the report of a split"
            )
        wanted = stage.bytes_in / stage.messages_in
        sizes.insert(0, _body_bytes(wanted, report, sizes, to_sink=name == SINK))
    source = filler_source(report.records.ingested, report.batches, sizes)
    return floor_workload(transforms), source


def floor_workload(transforms: Sequence[str]) -> Workload:
    """Return the floor workload with transform stages of those names.

    Raises UsageError for a name with a comma.
    """
    for name in transforms:
        if "," in name:
            raise UsageError(
                f"stage {name!r}: a stage with a comma in its name has no floor"
            )
    return workload_named(f"{__name__}:{_PREFIX}{','.join(transforms)}")


def filler_source(records: int, batches: int, sizes: Sequence[int]) -> FillerSource:
    """Describe ``records`` in ``batches``; ``sizes`` are bytes of a body, by leg."""
    return FillerSource(records=records, batches=batches, sizes=sizes)


def __getattr__(name: str) -> Workload:
    if not name.startswith(_PREFIX):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return Workload(
        source=Source(FillerSource, Filler, describe=filler_source, read=_read),
        transforms=tuple(
            Stage(transform, Filler, Filler, _pass_on)
            for transform in name.removeprefix(_PREFIX).split(",")
            if transform
        ),
        new_result=_Count,
    )


def _read(
    spec: FillerSource,
    limits: BatchLimits,  # noqa: ARG001 - the batches are those of the run before
    max_records: int,
    inputs: Opener,  # noqa: ARG001 - there is nothing to read
) -> Iterator[Output[Filler]]:
    """Yield the batches of ``spec``."""
    total = min(spec.records, max_records or spec.records)
    sizes = tuple(spec.sizes)
    for number in range(spec.batches):
        first = spec.records * number // spec.batches
        last = min(spec.records * (number + 1) // spec.batches, total)
        if first < last:
            yield _filler(last - first, sizes)


def _pass_on(filler: Filler) -> Output[Filler]:
    return _filler(filler.records, tuple(filler.sizes))


# Kept, so that a stage has nothing to do: in a run it sends batches of at most two
# numbers of records. No more, because one may be large.
@lru_cache(maxsize=2)
def _filler(records: int, sizes: tuple[int, ...]) -> Output[Filler]:
    """Return the batch for the leg whose body has the first of ``sizes``."""
    size, *following = sizes
    return Output(
        Filler(records=records, sizes=following, body=bytes(size)), records=records
    )


class _Count:
    """Counts records; its result is one line."""

    def __init__(self) -> None:
        self.records = 0

    def add(self, filler: Filler, /) -> bytes:
        self.records += filler.records
        return b""

    def state(self) -> Filler:
        return Filler(records=self.records)

    def merge(self, filler: Filler, /) -> None:
        self.add(filler)

    def finish(self) -> bytes:
        return b'{"records":%d}\n' % self.records


def _body_bytes(
    wanted: float, report: RunReport, following: Sequence[int], *, to_sink: bool
) -> int:
    """Return the size of a body with which messages have ``wanted`` bytes on average.

    Where they have more without any, 0.
    """
    records = report.records.ingested // report.batches
    some = range(0, report.batches, math.ceil(report.batches / _SAMPLED))
    numbers = mean(
        Batch(number=number, first_record=number * records + 1).ByteSize()
        for number in some
    )

    def message_bytes(body: int) -> float:
        batch = Batch(records=records)
        filler = Filler(records=records, sizes=following, body=bytes(body))
        pack(filler, into=batch.payload)
        message: Message = WriteRequest(batch=batch) if to_sink else batch
        return numbers + message.ByteSize()

    size = max(0, round(wanted - message_bytes(0)))
    # Longer bodies also have more bytes that say how long they are.
    while size and message_bytes(size) > wanted + 0.5:
        size -= 1
    return size
