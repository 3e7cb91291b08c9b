"""Compare the split with the monolith on any stream and partition."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import grpc
from google.protobuf import proto
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import BytesValue

from pipeline.accounting import RunReport
from pipeline.batching import BatchLimits
from pipeline.engines.base import Engine, RunSettings
from pipeline.engines.monolith import MonolithEngine
from pipeline.engines.recovery import NO_RECOVERY
from pipeline.engines.split import SplitEngine
from pipeline.engines.window import WindowLimits
from pipeline.errors import PipelineError
from pipeline.source import Opener, Source
from pipeline.stages import INGEST, SINK, Output
from pipeline.transport.folders import ServedFolders
from pipeline.transport.processes import new_folder
from pipeline.transport.server import StageServer
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


class SplitStages:
    """Servers of all stages of a workload, which run partitioned streams.

    A context manager that stops the servers at its end. They run in threads of this
    process.

    Args:
        workload: the workload.
        addresses: the addresses of stages that are served elsewhere, by stage name.
        credentials: the credentials for channels to the servers.
        transport: what the servers listen on.
        replicas: the number of servers of each transform stage that is started here.

    Raises:
        StageError: a server can't be started.

    Example::

        with SplitStages(EVENTS, replicas=2) as stages:
            stages.check(PartitionedStream(EVENTS, sample(EVENTS), (1, 9)))
    """

    def __init__(
        self,
        workload: Workload,
        *,
        addresses: Mapping[str, str] | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        transport: Literal["unix", "tcp"] = "unix",
        replicas: int = 1,
    ) -> None:
        self.workload = replace(workload, source=_given(workload.source))
        self._credentials = credentials
        self._last_uncut: tuple[Stream, Outcome] | None = None
        self._addresses: dict[str, list[str]] = {
            stage: [address] for stage, address in (addresses or {}).items()
        }
        with ExitStack() as stack:
            self._folder = new_folder()
            stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
            for stage in self.workload.stage_names:
                if stage in self._addresses:
                    continue
                count = 1 if stage in (INGEST, SINK) else replicas
                servers = [
                    StageServer(
                        self.workload,
                        stage,
                        f"unix:{self._folder / f'{stage}{number}'}"
                        if transport == "unix"
                        else "127.0.0.1:0",
                        ServedFolders([self._folder]),
                    )
                    for number in range(count)
                ]
                for server in servers:
                    stack.callback(server.drain, 0.0)
                self._addresses[stage] = [server.address for server in servers]
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def split(
        self, partitioned: PartitionedStream, window: WindowLimits | None = None
    ) -> Outcome:
        """Run a stream on the servers."""
        return self._outcome(
            SplitEngine(
                self._addresses,
                window=window,
                recovery=NO_RECOVERY,
                credentials=self._credentials,
            ),
            partitioned,
        )

    def monolith(self, partitioned: PartitionedStream) -> Outcome:
        """Run a stream with the monolith, in this thread."""
        return self._outcome(MonolithEngine(), partitioned)

    def check(
        self, partitioned: PartitionedStream, window: WindowLimits | None = None
    ) -> Outcome:
        """Run a stream with both engines and compare the outcomes.

        Both engines are given the same batches, so they agree even on a result that
        depends on them. The result is therefore compared with that of the monolith
        in one batch as well.

        Args:
            partitioned: the stream.
            window: the limits of batches in flight in the split.

        Returns:
            The outcome of the split.

        Raises:
            InvarianceError: the outcomes differ, or records were lost.
        """
        split, monolith = self.split(partitioned, window), self.monolith(partitioned)
        for what, one, other in zip(
            ("failure", "result", "rejects", "counts"),
            monolith.comparable,
            split.comparable,
            strict=True,
        ):
            if one != other:
                raise InvarianceError(
                    f"the split must give what the monolith gives: {what}"
                    + difference(
                        one or "none", other or "none", ("monolith: ", "split:    ")
                    )
                )
        _check_conservation(partitioned, split)
        self._check_uncut(partitioned, split)
        return split

    def _check_uncut(self, partitioned: PartitionedStream, split: Outcome) -> None:
        """Check that the result is that of the monolith in one batch."""
        uncut = self._outcome_uncut(partitioned)
        named = ("one batch: ", "split:     ")
        if bool(uncut.failure) != bool(split.failure):
            ends = (uncut.failure or "a result", split.failure or "a result")
            raise InvarianceError(
                "the split must give what the monolith gives in one batch"
                + difference(*ends, named)
            )
        for what, one, other in zip(
            ("result", "rejects", "counts"),
            uncut.at_any_batch_size,
            split.at_any_batch_size,
            strict=True,
        ):
            if one != other:
                raise InvarianceError(
                    f"the split must give what the monolith gives in one batch: {what}"
                    + difference(one or "none", other or "none", named)
                )

    def _outcome_uncut(self, partitioned: PartitionedStream) -> Outcome:
        """Run a stream in one batch; once for all partitions that follow each other."""
        stream = partitioned.stream
        if self._last_uncut is None or self._last_uncut[0] is not stream:
            self._last_uncut = stream, self.monolith(partitioned.uncut)
        return self._last_uncut[1]

    def _outcome(self, engine: Engine, partitioned: PartitionedStream) -> Outcome:
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
