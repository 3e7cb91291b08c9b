"""The floor: the same legs and bytes, with stages that do nothing.

The name of a floor workload lists its transform stages, so that server processes can
import it: ``pytest_pipeline.measure.references.floor:of:parse,rules`` has two. Its
source says how many batches to send, and how many bytes on each leg.
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
# Batches whose numbers are encoded to estimate the average size of a batch number.
_SAMPLED = 100


def floor_of(report: RunReport) -> tuple[Workload, FillerSource]:
    """Return the floor of a run of the split: a workload and its source.

    It sends as many batches as the run. On each leg the messages to the next stage add
    up to the bytes of the run. Replies have no rejections.

    Args:
        report: Of the run.

    Raises:
        UsageError: The report has no bytes, such as the monolith's.
    """
    stages = list(report.stages.items())
    transforms = [name for name, _ in stages if name not in (INGEST, SINK)]
    sizes: list[int] = []
    # From the last leg backwards, since a message lists the sizes of the later legs.
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
    """Return the floor workload with transform stages of these names.

    Raises:
        UsageError: A name has a comma.
    """
    for name in transforms:
        if "," in name:
            raise UsageError(
                f"stage {name!r}: a stage with a comma in its name has no floor"
            )
    return workload_named(f"{__name__}:{_PREFIX}{','.join(transforms)}")


def filler_source(records: int, batches: int, sizes: Sequence[int]) -> FillerSource:
    """Describe the source of a floor workload.

    Args:
        records: How many to send.
        batches: How many batches to divide them into, evenly.
        sizes: Bytes of the body on each leg, from ingest on.
    """
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
    limits: BatchLimits,  # noqa: ARG001 - the spec has the number of batches
    max_records: int,
    inputs: Opener,  # noqa: ARG001 - nothing is read
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


# Cached, so that a stage does no work: the batches of a run have at most two numbers of
# records. No more are kept, because one may be large.
@lru_cache(maxsize=2)
def _filler(records: int, sizes: tuple[int, ...]) -> Output[Filler]:
    """Return the batch for the leg of the first of ``sizes``."""
    size, *following = sizes
    return Output(
        Filler(records=records, sizes=following, body=bytes(size)), records=records
    )


class _Count:
    """The result of a floor workload: one line with the number of records."""

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
    """Return the body size for messages of ``wanted`` bytes on average, or 0."""
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
    # The length prefix of a longer body takes more bytes too.
    while size and message_bytes(size) > wanted + 0.5:
        size -= 1
    return size
