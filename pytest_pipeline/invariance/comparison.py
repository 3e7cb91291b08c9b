"""Compare any engine with the monolith on any stream and partition."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from google.protobuf import proto
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import BytesValue

from pipeline.accounting import RunReport
from pipeline.batching import BatchLimits
from pipeline.engines.base import Engine, RunSettings
from pipeline.engines.monolith import MonolithEngine
from pipeline.errors import PipelineError
from pipeline.source import Opener, Source
from pipeline.stages import Output
from pipeline.transport.wire import unpack
from pipeline.v1.pipeline_pb2 import Batch
from pipeline.workload import Workload
from pytest_pipeline.invariance.partitioned_stream import (
    InvarianceError,
    PartitionedStream,
    difference,
)
from pytest_pipeline.records.strategies.streams import as_batches
from pytest_pipeline.records.streams import Stream


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its failure, or its files and its report."""

    #: The error class and message; "" for a run that succeeded.
    failure: str = ""
    result: bytes = b""
    rejects: bytes = b""
    report: RunReport | None = None

    @property
    def comparable(self) -> tuple[object, ...]:
        """The parts that must be equal for every engine: no times, no bytes."""
        report = self.report
        counts = report and (report.batches, report.records, report.rejections)
        return self.failure, self.result, self.rejects, counts

    @property
    def at_any_batch_size(self) -> tuple[object, ...]:
        """The parts that must be equal for every partition of the stream, too.

        The message of a failure names the batch, so it is not among them.
        """
        report = self.report
        counts = report and (report.records, report.rejections)
        return self.result, self.rejects, counts


class EngineComparison:
    """Runs partitioned streams with any engine, and compares it with the monolith.

    Args:
        workload: the workload.
        folder: where the files of a run are, until it has ended; None for a temporary
            folder of the system.
    """

    def __init__(self, workload: Workload, folder: Path | None = None) -> None:
        self.workload = replace(workload, source=_given(workload.source))
        self._folder = folder
        self._last_uncut: tuple[Stream, Outcome] | None = None

    def check(self, engine: Engine, partitioned: PartitionedStream) -> Outcome:
        """Run a stream with an engine and with the monolith, and compare the outcomes.

        Both are given the same batches, so they agree even on a result that depends on
        them. The result is therefore compared with that of the monolith in one batch as
        well.

        Args:
            engine: the engine.
            partitioned: the stream.

        Returns:
            The outcome of the engine.

        Raises:
            InvarianceError: the outcomes differ, or records were lost.
        """
        found = self.outcome(engine, partitioned)
        monolith = self.outcome(MonolithEngine(), partitioned)
        for what, one, other in zip(
            ("failure", "result", "rejects", "counts"),
            monolith.comparable,
            found.comparable,
            strict=True,
        ):
            if one != other:
                raise InvarianceError(
                    f"{engine.name} must give what the monolith gives: {what}"
                    + _two(("monolith", one), (engine.name, other))
                )
        _check_conservation(partitioned, found)
        self._check_uncut(engine.name, partitioned, found)
        return found

    def _check_uncut(
        self, name: str, partitioned: PartitionedStream, found: Outcome
    ) -> None:
        """Check that the result is that of the monolith in one batch."""
        uncut = self._outcome_uncut(partitioned)
        if bool(uncut.failure) != bool(found.failure):
            ends = [each.failure or "a result" for each in (uncut, found)]
            raise InvarianceError(
                f"{name} must give what the monolith gives in one batch"
                + _two(("one batch", ends[0]), (name, ends[1]))
            )
        for what, one, other in zip(
            ("result", "rejects", "counts"),
            uncut.at_any_batch_size,
            found.at_any_batch_size,
            strict=True,
        ):
            if one != other:
                raise InvarianceError(
                    f"{name} must give what the monolith gives in one batch: {what}"
                    + _two(("one batch", one), (name, other))
                )

    def _outcome_uncut(self, partitioned: PartitionedStream) -> Outcome:
        """Run a stream in one batch; once for all partitions that follow each other."""
        stream = partitioned.stream
        if self._last_uncut is None or self._last_uncut[0] is not stream:
            outcome = self.outcome(MonolithEngine(), partitioned.uncut)
            self._last_uncut = stream, outcome
        return self._last_uncut[1]

    def outcome(self, engine: Engine, partitioned: PartitionedStream) -> Outcome:
        """Run a stream with an engine.

        Raises:
            InvarianceError: the run has failed and left files.
        """
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            folder = Path(name)
            settings = RunSettings(
                workload=self.workload,
                source=_spec(partitioned),
                input="",
                output=folder / "result",
                rejects=folder / "rejects",
                limits=BatchLimits(max(1, len(partitioned.stream))),
            )
            try:
                report = engine.run(settings)
            except PipelineError as error:
                left = sorted(path.name for path in folder.iterdir())
                if left:
                    raise InvarianceError(
                        f"a run that failed ({error}) has left {', '.join(left)}"
                    ) from error
                return Outcome(failure=f"{type(error).__name__}: {error}")
            return Outcome(
                "",
                settings.output.read_bytes(),
                (folder / "rejects").read_bytes(),
                report,
            )


def _two(monolith: tuple[str, object], found: tuple[str, object]) -> str:
    """Show both sides of a difference, each behind its name."""
    width = max(len(name) for name, _ in (monolith, found)) + 2
    names = [f"{name}: ".ljust(width) for name, _ in (monolith, found)]
    return difference(monolith[1] or "none", found[1] or "none", (names[0], names[1]))


def _check_conservation(partitioned: PartitionedStream, outcome: Outcome) -> None:
    if outcome.report is None:
        return
    counts = outcome.report.records
    gone = counts.rejected + counts.filtered + counts.passed
    rejected = outcome.rejects.count(b"\n")
    if (counts.ingested, gone, counts.rejected) != (len(partitioned.stream),) * 2 + (
        rejected,
    ):
        raise InvarianceError(
            f"{len(partitioned.stream)} records went in, {rejected} are in the "
            f"rejects, and the report says {counts}"
        )


def _given(source: Source[Any, Any]) -> Source[Any, Any]:
    """Return a source of the same payload type that sends the batches in its spec."""

    def read(
        spec: BytesValue,
        limits: BatchLimits,  # noqa: ARG001 - the spec has batches
        max_records: int,  # noqa: ARG001 - all of them are sent
        inputs: Opener,  # noqa: ARG001 - there is nothing to read
    ) -> Iterator[Output[Message]]:
        buffer = io.BytesIO(spec.value)
        while (batch := proto.parse_length_prefixed(Batch, buffer)) is not None:
            yield Output(unpack(batch.payload, source.returns), batch.records)

    return Source(BytesValue, source.returns, describe=BytesValue, read=read)


def _spec(partitioned: PartitionedStream) -> BytesValue:
    buffer = io.BytesIO()
    for batch in as_batches(partitioned.stream, partitioned.partition):
        proto.serialize_length_prefixed(batch, buffer)
    return BytesValue(value=buffer.getvalue())
