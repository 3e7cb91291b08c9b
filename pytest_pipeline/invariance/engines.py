"""The split against the monolith, over any stream and any cutting of it."""

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
from pytest_pipeline.invariance.case import Case, InvarianceError
from pytest_pipeline.records.strategies.streams import as_batches


@dataclass(frozen=True)
class Outcome:
    """What came of a run, as far as it must not depend on the engine."""

    #: Why it failed; empty for one that did not.
    failure: str = ""
    result: bytes = b""
    rejects: bytes = b""
    report: RunReport | None = None

    @property
    def comparable(self) -> tuple[object, ...]:
        """All of it that the engine, the servers and the clock have no part in."""
        report = self.report
        counts = report and (report.batches, report.records, report.rejections)
        return self.failure, self.result, self.rejects, counts


class SplitStages:
    """Servers of all stages of a workload, for runs over streams that are given.

    ``addresses`` has those of stages that are served elsewhere; servers of the others
    live in threads of this process, ``replicas`` of each transform stage. To be used in
    ``with``, which ends them. Raises StageError where one can't be started.
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

    def split(self, case: Case, window: WindowLimits | None = None) -> Outcome:
        """Run a case on the servers."""
        return self._outcome(
            SplitEngine(self._addresses, window=window, credentials=self._credentials),
            case,
        )

    def monolith(self, case: Case) -> Outcome:
        """Run a case in this thread."""
        return self._outcome(MonolithEngine(), case)

    def check(self, case: Case, window: WindowLimits | None = None) -> Outcome:
        """Run both ways and return what came of it; raise InvarianceError if not one.

        Records are conserved too: each is in the result, filtered, or rejected.
        """
        split, monolith = self.split(case, window), self.monolith(case)
        for what, one, other in zip(
            ("failure", "result", "rejects", "counts"),
            monolith.comparable,
            split.comparable,
            strict=True,
        ):
            if one != other:
                raise InvarianceError(
                    f"the split must give what the monolith gives: {what}\n"
                    f"  monolith: {one or 'none'!r}\n  split:    {other or 'none'!r}"
                )
        _check_conservation(case, split)
        return split

    def _outcome(self, engine: Engine, case: Case) -> Outcome:
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            folder = Path(name)
            settings = RunSettings(
                workload=self.workload,
                source=_spec(case),
                input="",
                output=folder / "result",
                rejects=folder / "rejects",
                limits=BatchLimits(max(1, len(case.stream))),
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


def check_split(case: Case) -> None:
    """The split gives what the monolith gives, byte for byte."""
    with SplitStages(case.workload) as stages:
        stages.check(case)


def _check_conservation(case: Case, outcome: Outcome) -> None:
    if outcome.report is None:
        return
    counts = outcome.report.records
    gone = counts.rejected + counts.filtered + counts.passed
    rejected = outcome.rejects.count(b"\n")
    if (counts.ingested, gone, counts.rejected) != (len(case.stream),) * 2 + (
        rejected,
    ):
        raise InvarianceError(
            f"{len(case.stream)} records went in, {rejected} are in the rejects, and "
            f"the report says {counts}"
        )


def _given(source: Source[Any, Any]) -> Source[Any, Any]:
    """Return a source of the same payloads that sends the batches it is given."""

    def read(
        spec: BytesValue,
        limits: BatchLimits,  # noqa: ARG001 - the batches are cut already
        max_records: int,  # noqa: ARG001 - and all of them are wanted
        inputs: Opener,  # noqa: ARG001 - there is nothing to read
    ) -> Iterator[Output[Message]]:
        buffer = io.BytesIO(spec.value)
        while (batch := proto.parse_length_prefixed(Batch, buffer)) is not None:
            yield Output(unpack(batch.payload, source.returns), batch.records)

    return Source(BytesValue, source.returns, describe=BytesValue, read=read)


def _spec(case: Case) -> BytesValue:
    buffer = io.BytesIO()
    for batch in as_batches(case.stream, case.cutting):
        proto.serialize_length_prefixed(batch, buffer)
    return BytesValue(value=buffer.getvalue())
