"""Mutants of ingest that send wrong batches, or take wrong requests."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import grpc
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from pipeline.batching import BatchLimits
from pipeline.errors import UsageError
from pipeline.source import ByteReader, Opener
from pipeline.stages import Output
from pipeline.transport.folders import ServedFolders
from pipeline.transport.wire import PayloadError
from pipeline.v1.lines_pb2 import Lines, LineSource
from pipeline.v1.pipeline_pb2 import Batch, ReadRequest
from pytest_pipeline.conformance.declaration import Declaration
from tests.conformance.mutants.folders import (
    AbsoluteOnly,
    ByPrefix,
    Everywhere,
    LinksUnresolved,
)
from tests.conformance.mutants.honest_ingest import HonestIngest


class MissesReflectionIngest(HonestIngest):
    """Declares reflection and does not serve it."""

    declaration = Declaration(reflection=True)
    caught_by = ("start.reflection",)


class NumbersFromOne(HonestIngest):
    """Numbers batches from 1."""

    caught_by = ("source.numbers",)

    def reply(self, number: int, output: Output[Any]) -> Batch:
        """Add 1 to the number."""
        return super().reply(number + 1, output)


class LosesTheLastBatch(HonestIngest):
    """Does not send the last batch."""

    caught_by = ("source.counts", "source.payload")

    def outputs(self, request: ReadRequest, inputs: Opener) -> Iterator[Output[Any]]:
        """Send each batch once the next one has been read."""
        held: Output[Any] | None = None
        for output in super().outputs(request, inputs):
            if held is not None:
                yield held
            held = output


class CountsNothing(HonestIngest):
    """Leaves the record count out of the envelope."""

    caught_by = ("source.counts", "source.payload")

    def reply(self, number: int, output: Output[Any]) -> Batch:
        """Clear the count."""
        batch = super().reply(number, output)
        batch.records = 0
        return batch


class NamesAnotherType(HonestIngest):
    """Sends payloads of a type that no stage takes."""

    caught_by = ("source.type",)

    def reply(self, number: int, output: Output[Any]) -> Batch:
        """Leave the package out of the type URL."""
        batch = super().reply(number, output)
        batch.payload.type_url = "type.googleapis.com/Lines"
        return batch


class NumbersRecordsWithinTheBatch(HonestIngest):
    """Numbers the first record of every batch 1."""

    caught_by = ("source.payload",)

    def reply(self, number: int, output: Output[Lines]) -> Batch:
        """Set the number of the first record."""
        output.message.first_record = 1
        return super().reply(number, output)


class DropsTheCarriageReturn(HonestIngest):
    """Ends every line by LF alone."""

    caught_by = ("source.lines",)

    def reply(self, number: int, output: Output[Lines]) -> Batch:
        """Replace CR LF."""
        output.message.text = output.message.text.replace(b"\r\n", b"\n")
        return super().reply(number, output)


class KeepsLongLines(HonestIngest):
    """Keeps the content of every line."""

    caught_by = ("source.long-lines",)

    def decode(self, request: ReadRequest) -> Message:
        """Raise the limit of a line."""
        source = super().decode(request)
        assert isinstance(source, LineSource)
        source.max_line_bytes = 2**30
        return source


class SendsARecordMore(HonestIngest):
    """Sends a record more in each batch than it may."""

    caught_by = ("source.limit-records",)

    def limits(self, request: ReadRequest) -> BatchLimits:
        """Add 1 to the limit."""
        limits = super().limits(request)
        return replace(limits, records=limits.records + 1)


class IgnoresTheBytes(HonestIngest):
    """Limits a batch by its records alone."""

    caught_by = ("source.limit-bytes", "source.oversized-record")

    def limits(self, request: ReadRequest) -> BatchLimits:
        """Raise the limit."""
        return replace(super().limits(request), bytes=2**40)


class RefusesALargeRecord(HonestIngest):
    """Ends the stream at a record that is larger than a batch may be."""

    caught_by = ("source.oversized-record",)

    def outputs(self, request: ReadRequest, inputs: Opener) -> Iterator[Output[Any]]:
        """Compare the size of each batch."""
        for output in super().outputs(request, inputs):
            if len(output.message.text) > request.batch_bytes:
                raise UsageError("a record is too large")
            yield output


class ReadsEverything(HonestIngest):
    """Sends all records of the source."""

    caught_by = ("source.max-records",)

    def most(self, request: ReadRequest) -> int:
        """Return that there is no limit."""
        del request
        return 0


class AnswersAnEmptySource(HonestIngest):
    """Sends one empty batch for an empty source."""

    caught_by = ("source.empty",)

    def outputs(self, request: ReadRequest, inputs: Opener) -> Iterator[Output[Any]]:
        """Yield an empty batch if there is none."""
        is_empty = True
        for output in super().outputs(request, inputs):
            is_empty = False
            yield output
        if is_empty:
            yield Output(Lines(first_record=1), 0)


class ReadsOneAtATime(HonestIngest):
    """Serves one stream at a time."""

    caught_by = ("source.two-at-once",)

    def __init__(self) -> None:
        super().__init__()
        self.turn = threading.Lock()

    def Read(
        self, request: ReadRequest, context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Hold a lock for the whole stream."""
        with self.turn:
            yield from super().Read(request, context)


class TakesWrongLimits(HonestIngest):
    """Takes a limit of 0 for 1."""

    caught_by = ("source.wrong-limits",)

    def limits(self, request: ReadRequest) -> BatchLimits:
        """Raise the limits to 1."""
        request.batch_records = max(1, request.batch_records)
        request.batch_bytes = max(1, request.batch_bytes)
        return super().limits(request)


class GuessesTheSource(HonestIngest):
    """Takes a source that it can't decode for an empty one."""

    caught_by = ("source.unknown-type", "source.undecodable")

    def outputs(self, request: ReadRequest, inputs: Opener) -> Iterator[Output[Any]]:
        """End the stream instead of refusing."""
        try:
            self.decode(request)
        except PayloadError:
            return
        yield from super().outputs(request, inputs)


class ComparesTheWholeUrlOfASource(HonestIngest):
    """Refuses type URLs with an unusual prefix."""

    caught_by = ("source.type-url",)

    def decode(self, request: ReadRequest) -> Message:
        """Compare the whole type URL."""
        name = self.work.source.spec.DESCRIPTOR.full_name
        if request.source.type_url != f"type.googleapis.com/{name}":
            raise PayloadError("unknown type")
        return super().decode(request)


class RefusesUnknownFieldsOfASource(HonestIngest):
    """Refuses sources with unknown fields."""

    caught_by = ("source.unknown-fields",)

    def decode(self, request: ReadRequest) -> Message:
        """Refuse unknown fields."""
        source = super().decode(request)
        if len(UnknownFieldSet(source)):
            raise PayloadError("unknown field")
        return source


class HoldsACancelledRead(HonestIngest):
    """Holds the thread of a cancelled stream."""

    caught_by = ("source.cancel",)

    def Read(
        self, request: ReadRequest, context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Block until the test ends."""
        try:
            yield from super().Read(request, context)
        finally:
            if not context.is_active():
                self.is_over.wait()


class BlamesItselfForASource(HonestIngest):
    """Ends with INTERNAL for a source that can't be read."""

    unreadable = grpc.StatusCode.INTERNAL
    caught_by = ("source.missing",)


class ReadsEverywhere(HonestIngest):
    """Reads every file."""

    caught_by = ("source.confinement",)

    def folders(self) -> ServedFolders:
        """Serve every path."""
        return Everywhere([self.folder])


class ReadsThroughLinks(HonestIngest):
    """Reads what a link in the folder leads to."""

    caught_by = ("source.confinement",)

    def folders(self) -> ServedFolders:
        """Resolve no links."""
        return LinksUnresolved([self.folder])


class ReadsBesideTheFolder(HonestIngest):
    """Reads a folder whose name begins as that of its own does."""

    caught_by = ("source.confinement",)

    def folders(self) -> ServedFolders:
        """Compare the beginning of the path."""
        return ByPrefix([self.folder])


class RefusesARelativeSource(HonestIngest):
    """Reads absolute paths only."""

    caught_by = ("source.paths",)

    def folders(self) -> ServedFolders:
        """Refuse relative paths."""
        return AbsoluteOnly([self.folder])


class _PlainFiles:
    """Opens files, and does not notice that they change."""

    def open(self, path: str) -> ByteReader:
        """Open a file."""
        return open(path, "rb", buffering=0)  # noqa: PTH123 - the reader closes it


class EndsWhereTheFileEnds(HonestIngest):
    """Takes the end of a file that was truncated for the end of the source."""

    caught_by = ("source.truncated",)

    def inputs(self, context: grpc.ServicerContext) -> Opener:
        """Open files without watching them."""
        del context
        return _PlainFiles()


class NeverLingers(HonestIngest):
    """Waits until a batch is full."""

    caught_by = ("source.linger",)

    def limits(self, request: ReadRequest) -> BatchLimits:
        """Leave out the linger."""
        return replace(super().limits(request), linger_s=None)


class AlwaysLingers(HonestIngest):
    """Lingers although it was not asked to."""

    caught_by = ("source.no-linger",)

    def limits(self, request: ReadRequest) -> BatchLimits:
        """Linger for a moment."""
        return replace(super().limits(request), linger_s=0.01)


class ReadsItsSourceAhead(HonestIngest):
    """Buffers batches without limit while they are not read."""

    caught_by = ("source.slow-reader",)

    def outputs(self, request: ReadRequest, inputs: Opener) -> Iterator[Output[Any]]:
        """Read all batches in a thread."""
        read: deque[Output[Any] | None] = deque()
        there_is_one = threading.Semaphore(0)

        def read_all() -> None:
            for output in super(ReadsItsSourceAhead, self).outputs(request, inputs):
                read.append(output)
                there_is_one.release()
            read.append(None)
            there_is_one.release()

        threading.Thread(target=read_all, name="reads_ahead").start()
        while there_is_one.acquire():
            output = read.popleft()
            if output is None:
                return
            yield output


class ReadsOnWhenCancelled(HonestIngest):
    """Reads on when nobody wants its batches any more."""

    caught_by = ("source.cancel-closes",)

    def inputs(self, context: grpc.ServicerContext) -> Opener:
        """Take every call for one that goes on."""
        del context
        return self.folders().inputs(lambda: not self.is_over.is_set())

    def Read(
        self, request: ReadRequest, context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Keep the source open."""
        reading = super().Read(request, context)
        try:
            yield from (batch for batch in reading)
        finally:
            for _ in reading:
                pass


MUTANTS = (
    MissesReflectionIngest,
    NumbersFromOne,
    LosesTheLastBatch,
    CountsNothing,
    NamesAnotherType,
    NumbersRecordsWithinTheBatch,
    DropsTheCarriageReturn,
    KeepsLongLines,
    SendsARecordMore,
    IgnoresTheBytes,
    RefusesALargeRecord,
    ReadsEverything,
    AnswersAnEmptySource,
    ReadsOneAtATime,
    TakesWrongLimits,
    GuessesTheSource,
    ComparesTheWholeUrlOfASource,
    RefusesUnknownFieldsOfASource,
    HoldsACancelledRead,
    BlamesItselfForASource,
    ReadsEverywhere,
    ReadsThroughLinks,
    ReadsBesideTheFolder,
    RefusesARelativeSource,
    EndsWhereTheFileEnds,
    NeverLingers,
    AlwaysLingers,
    ReadsItsSourceAhead,
    ReadsOnWhenCancelled,
)
