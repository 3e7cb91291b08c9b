"""Mutants of the sink: what they publish, when, and where."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from pipeline.accumulator import Accumulator
from pipeline.publishing import Draft
from pipeline.transport.folders import ServedFolders
from pipeline.transport.wire import PayloadError
from pipeline.v1.pipeline_pb2 import Batch, Commit, WriteRequest, WriteSummary
from pytest_pipeline.conformance.declaration import Declaration
from tests.conformance.mutants.folders import (
    AbsoluteOnly,
    ByPrefix,
    Everywhere,
    LinksUnresolved,
)
from tests.conformance.mutants.honest_sink import HonestSink


class MissesReflectionSink(HonestSink):
    """Declares reflection and does not serve it."""

    declaration = Declaration(reflection=True)
    caught_by = ("start.reflection",)


class WritesFromTheEnd(HonestSink):
    """Writes the lines of the result in reverse order."""

    caught_by = ("sink.result", "sink.any-records")

    def publish(
        self, result: Accumulator[Any], batches: int, draft: Draft
    ) -> WriteSummary:
        """Reverse the lines."""
        lines = result.finish().splitlines(keepends=True)
        draft.write(b"".join(reversed(lines)))
        draft.publish()
        return WriteSummary(
            batches=batches, records=result.records, result_bytes=draft.size
        )


class PublishesNoEmptyResult(HonestSink):
    """Publishes nothing for a run without batches."""

    caught_by = ("sink.empty-run",)

    def publish(
        self, result: Accumulator[Any], batches: int, draft: Draft
    ) -> WriteSummary:
        """Publish if there was a batch."""
        return super().publish(result, batches, draft) if batches else WriteSummary()


class SumsNothingUp(HonestSink):
    """Leaves the size of the result out of the summary."""

    caught_by = ("sink.summary",)

    def publish(
        self, result: Accumulator[Any], batches: int, draft: Draft
    ) -> WriteSummary:
        """Clear the size."""
        summary = super().publish(result, batches, draft)
        summary.result_bytes = 0
        return summary


class _InPlace(Draft):
    """A file that is written where it stands."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._written = b""

    def write(self, data: bytes) -> None:
        super().write(data)
        self._written += data

    def publish(self) -> None:
        """Write over the earlier file, from its beginning."""
        self._target.touch()
        with self._target.open("r+b") as file:
            file.write(self._written)
            self.resize(file)

    def resize(self, file: Any) -> None:
        """Cut what is left of an earlier file."""
        file.truncate()


class _WithoutCut(_InPlace):
    """A file whose earlier content shows behind a shorter one."""

    def resize(self, file: Any) -> None:
        pass


class WritesOverTheEarlierResult(HonestSink):
    """Leaves the end of an earlier result that was longer."""

    caught_by = ("sink.replaces",)

    def draft(self, path: str) -> Draft:
        """Write over what is there."""
        return _WithoutCut(self.place(path))


class WritesInPlace(HonestSink):
    """Writes into the earlier file at the commit."""

    caught_by = ("sink.atomic",)

    def draft(self, path: str) -> Draft:
        """Write into the file."""
        return _InPlace(self.place(path))


class SharesItsResult(HonestSink):
    """Has one accumulator for all runs that are open."""

    caught_by = ("sink.two-at-once",)
    shared: Accumulator[Any] | None = None
    open_runs = 0

    def new_result(self) -> Accumulator[Any]:
        """Return the accumulator of the run that is open, if one is."""
        if not self.open_runs or self.shared is None:
            self.shared = super().new_result()
        return self.shared

    def fold(self, requests: Iterator[WriteRequest], draft: Draft) -> WriteSummary:
        """Count the runs that are open."""
        self.open_runs += 1
        try:
            return super().fold(requests, draft)
        finally:
            self.open_runs -= 1


class ComparesTheWholeUrlOfABatch(HonestSink):
    """Refuses type URLs with an unusual prefix."""

    caught_by = ("sink.type-url",)

    def decode(self, batch: Batch) -> Message:
        """Compare the whole type URL."""
        name = self.work.result_takes.DESCRIPTOR.full_name
        if batch.payload.type_url != f"type.googleapis.com/{name}":
            raise PayloadError("unknown type")
        return super().decode(batch)


class RefusesUnknownFieldsOfABatch(HonestSink):
    """Refuses payloads with unknown fields."""

    caught_by = ("sink.unknown-fields",)

    def decode(self, batch: Batch) -> Message:
        """Refuse unknown fields."""
        message = super().decode(batch)
        if len(UnknownFieldSet(message)):
            raise PayloadError("unknown field")
        return message


class GuessesTheTarget(HonestSink):
    """Writes to a place of its own if it is told none."""

    caught_by = ("sink.target-first",)

    def target(self, requests: Iterator[WriteRequest]) -> str:
        """Return a path of its own."""
        first = next(requests, None)
        named = first is not None and first.WhichOneof("step") == "target"
        return first.target.path if first and named else "result"

    def check_commit(self, commit: Commit, batches: int, records: int) -> None:
        """Take every commit, since the first batch is lost."""

    def check_next(self, request: WriteRequest, batches: int) -> None:
        """Take every batch."""


class IgnoresTheNumbers(HonestSink):
    """Takes batches in any order."""

    caught_by = ("sink.order",)

    def check_next(self, request: WriteRequest, batches: int) -> None:
        """Take every batch."""


class FoldsWhatIsLate(HonestSink):
    """Folds batches that come after the commit into the result."""

    caught_by = ("sink.after-commit",)

    def fold(self, requests: Iterator[WriteRequest], draft: Draft) -> WriteSummary:
        """Publish when the client has half-closed."""
        result, batches, is_committed = self.new_result(), 0, False
        for request in requests:
            if request.WhichOneof("step") == "commit":
                is_committed = True
            else:
                draft.write(self.add(result, request.batch))
                batches += 1
        if not is_committed:
            return self.without_commit(result, batches, draft)
        return self.publish(result, batches, draft)


class TrustsTheCommit(HonestSink):
    """Publishes whatever the commit says."""

    caught_by = ("sink.commit-counts",)

    def check_commit(self, commit: Commit, batches: int, records: int) -> None:
        """Compare nothing."""


class CountsEnvelopes(HonestSink):
    """Counts the records that the envelopes announce."""

    caught_by = ("sink.counts-payloads",)

    def fold(self, requests: Iterator[WriteRequest], draft: Draft) -> WriteSummary:
        """Start to count."""
        self.announced = 0
        return super().fold(requests, draft)

    def add(self, result: Accumulator[Any], batch: Batch) -> bytes:
        """Count the records of the envelope."""
        self.announced += batch.records
        return super().add(result, batch)

    def check_commit(self, commit: Commit, batches: int, records: int) -> None:
        """Compare what was announced."""
        del records
        super().check_commit(commit, batches, self.announced)


class PublishesWithoutCommit(HonestSink):
    """Takes a half-close for a commit."""

    caught_by = ("sink.no-commit", "sink.nothing-published", "sink.earlier-kept")

    def without_commit(
        self, result: Accumulator[Any], batches: int, draft: Draft
    ) -> WriteSummary:
        """Publish what there is."""
        return self.publish(result, batches, draft)


class SkipsWhatItCanNotDecode(HonestSink):
    """Leaves out payloads that it can't decode."""

    caught_by = ("sink.undecodable", "sink.unknown-type")

    def add(self, result: Accumulator[Any], batch: Batch) -> bytes:
        """Add nothing instead of refusing."""
        try:
            return super().add(result, batch)
        except PayloadError:
            return b""

    def check_commit(self, commit: Commit, batches: int, records: int) -> None:
        """Compare nothing."""


class HoldsACancelledRun(HonestSink):
    """Holds the thread of a cancelled stream."""

    caught_by = ("sink.cancel",)

    def Write(
        self, requests: Iterator[WriteRequest], context: grpc.ServicerContext
    ) -> WriteSummary:
        """Block until the test ends."""
        try:
            return super().Write(requests, context)
        finally:
            if not context.is_active():
                self.is_over.wait()


class _FromTheStart(Draft):
    """A file that is written at its place from the start."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._draft.replace(self._target)
        self._draft = self._target

    def publish(self) -> None:
        """Write what is left."""
        self.seal()

    def discard(self) -> None:
        """Leave what there is."""
        self._file.close()


class WritesFromTheStart(HonestSink):
    """Opens the target itself when the run begins."""

    caught_by = ("sink.nothing-published", "sink.earlier-kept", "sink.atomic")

    def draft(self, path: str) -> Draft:
        """Write at the target."""
        return _FromTheStart(self.place(path))


class _Kept(Draft):
    """A draft that is not discarded."""

    def discard(self) -> None:
        """Leave it."""
        self._file.close()


class LeavesItsDraft(HonestSink):
    """Leaves a draft behind."""

    caught_by = ("sink.no-draft",)

    def draft(self, path: str) -> Draft:
        """Keep the draft."""
        return _Kept(self.place(path))


class BlamesItselfForATarget(HonestSink):
    """Ends with INTERNAL for a target that can't be written."""

    unwritable = grpc.StatusCode.INTERNAL
    caught_by = ("sink.unwritable",)


class WritesEverywhere(HonestSink):
    """Writes every file."""

    caught_by = ("sink.confinement",)

    def folders(self) -> ServedFolders:
        """Serve every path."""
        return Everywhere([self.folder])


class WritesThroughLinks(HonestSink):
    """Writes to what a link in the folder leads to."""

    caught_by = ("sink.confinement",)

    def folders(self) -> ServedFolders:
        """Resolve no links."""
        return LinksUnresolved([self.folder])


class WritesBesideTheFolder(HonestSink):
    """Writes into a folder whose name begins as that of its own does."""

    caught_by = ("sink.confinement",)

    def folders(self) -> ServedFolders:
        """Compare the beginning of the path."""
        return ByPrefix([self.folder])


class RefusesARelativeTarget(HonestSink):
    """Writes to absolute paths only."""

    caught_by = ("sink.paths",)

    def folders(self) -> ServedFolders:
        """Refuse relative paths."""
        return AbsoluteOnly([self.folder])


MUTANTS = (
    MissesReflectionSink,
    WritesFromTheEnd,
    PublishesNoEmptyResult,
    SumsNothingUp,
    WritesOverTheEarlierResult,
    WritesInPlace,
    SharesItsResult,
    ComparesTheWholeUrlOfABatch,
    RefusesUnknownFieldsOfABatch,
    GuessesTheTarget,
    IgnoresTheNumbers,
    FoldsWhatIsLate,
    TrustsTheCommit,
    CountsEnvelopes,
    PublishesWithoutCommit,
    SkipsWhatItCanNotDecode,
    HoldsACancelledRun,
    WritesFromTheStart,
    LeavesItsDraft,
    BlamesItselfForATarget,
    WritesEverywhere,
    WritesThroughLinks,
    WritesBesideTheFolder,
    RefusesARelativeTarget,
)
