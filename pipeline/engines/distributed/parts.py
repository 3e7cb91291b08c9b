"""The parts of a run: those of a divisible source, or batches that the driver reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from google.protobuf.message import Message

from pipeline.engines.base import RunSettings
from pipeline.engines.in_process import named_failures
from pipeline.errors import FunctionError, PipelineError
from pipeline.source import MapFunction, Opener, Part, Source
from pipeline.stages import INGEST, Output, check_output
from pipeline.v1.pipeline_pb2 import Rejection

# As much as a worker needs to be busy for some milliseconds, and little enough for a
# driver that holds a window of them.
FED_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure of a run as data, which can be pickled whatever was raised."""

    kind: type[PipelineError]
    message: str
    #: Of a FunctionError.
    traceback: str = ""

    @classmethod
    def of(cls, error: PipelineError) -> Self:
        """Return the failure that ``error`` tells of."""
        # A user's own subclass may not be known here, or need other arguments.
        kind = next(
            kind for kind in type(error).__mro__ if kind.__module__ == "pipeline.errors"
        )
        return cls(kind, str(error), getattr(error, "traceback", ""))

    def error(self) -> PipelineError:
        """Return the error to raise."""
        if issubclass(self.kind, FunctionError):
            return self.kind(self.message, self.traceback)
        return self.kind(self.message)


@dataclass(frozen=True, slots=True)
class FedBatch:
    """A batch that the driver has read, serialised."""

    payload: bytes
    records: int
    filtered: int
    rejections: tuple[bytes, ...]

    @classmethod
    def of(cls, output: Output[Any]) -> Self:
        """Return the batch of an output."""
        return cls(
            output.message.SerializeToString(),
            output.records,
            output.filtered,
            tuple(rejection.SerializeToString() for rejection in output.rejections),
        )

    def output(self, payload_type: type[Message]) -> Output[Any]:
        """Return the output again."""
        return Output(
            payload_type.FromString(self.payload),
            self.records,
            self.filtered,
            [Rejection.FromString(rejection) for rejection in self.rejections],
        )


@dataclass(frozen=True, slots=True)
class FedPart:
    """Consecutive batches that the driver has read."""

    first_batch: int
    first_record: int
    batches: tuple[FedBatch, ...]
    #: Why the source has ended behind these batches, unless it was through.
    failure: Failure | None = None

    def __str__(self) -> str:
        return f"part from record {self.first_record}"


def parts_of(
    settings: RunSettings,
    map_: MapFunction,
    inputs: Opener,
    *,
    fed_bytes: int = FED_BYTES,
) -> Iterable[Part | FedPart]:
    """Return the parts of a run, in order.

    Args:
        settings: Describes the run.
        map_: Counts, if the source is divisible.
        inputs: Opens what the driver reads.
        fed_bytes: How large a part becomes that the driver reads.

    Raises:
        PipelineError: The source can't be read.
    """
    source: Source[Any, Any] = settings.workload.source
    division = source.division
    # A source whose function was replaced gives other records than the division.
    if division is not None and division.read is source.read:
        parts = division.divide(
            settings.source, settings.fixed_limits, settings.max_records, map_
        )
        if parts is not None:
            return parts
    return _fed(settings, inputs, fed_bytes)


def _fed(settings: RunSettings, inputs: Opener, fed_bytes: int) -> Iterator[FedPart]:
    """Read the source here; yield its batches in parts of about so many bytes.

    Parts are made as they are asked for, so whoever takes them sets the pace.
    """
    first_batch, first_record = 0, 1
    batches: list[FedBatch] = []
    size = records = 0
    failure = None
    try:
        for output in _checked_outputs(settings, inputs):
            batches.append(FedBatch.of(output))
            size += len(batches[-1].payload)
            records += output.records + output.filtered + len(output.rejections)
            if size >= fed_bytes:
                yield FedPart(first_batch, first_record, tuple(batches))
                first_batch += len(batches)
                first_record += records
                batches, size, records = [], 0, 0
    except PipelineError as error:
        # The batches before it go first: one of them may fail, too.
        failure = Failure.of(error)
    if batches or failure:
        yield FedPart(first_batch, first_record, tuple(batches), failure)


def _checked_outputs(settings: RunSettings, inputs: Opener) -> Iterator[Output[Any]]:
    """Yield what the source yields; name the place of a failure of its function."""
    __tracebackhide__ = True
    source = settings.workload.source
    with named_failures() as place:
        place.stage = INGEST
        outputs = source.read(
            settings.source, settings.fixed_limits, settings.max_records, inputs
        )
        record = 1
        for number, output in enumerate(outputs):
            place.batch, place.first_record = number, record
            check_output(output, source.returns)
            record += output.records + output.filtered + len(output.rejections)
            place.batch = None
            yield output
