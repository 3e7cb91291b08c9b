"""A stream, cut into batches, on its way through the stage functions of a workload."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from pipeline.errors import PipelineError, UsageError, raised, user_traceback
from pipeline.stages import Output, Stage
from pipeline.workload import Workload
from pytest_pipeline.records.streams import Cutting, Stream, joined


class InvarianceError(PipelineError):
    """Something that must not depend on how work is divided does."""


@dataclass(frozen=True)
class Case:
    """One stream, and one cutting of it."""

    workload: Workload
    stream: Stream
    cutting: Cutting

    def outputs(self, stages: Sequence[Stage[Any, Any]]) -> list[Output[Any]]:
        """Return what the last of ``stages``, or the source, makes of each batch."""
        batches = self.stream.cut(self.cutting)
        return [passed(stages, batch) for batch in batches]

    def result_of(
        self, outputs: Sequence[Output[Any]], stages: Sequence[Stage[Any, Any]]
    ) -> bytes:
        """Pass outputs through ``stages`` and fold them into the result."""
        fold = self.workload.new_result()
        written = [fold.add(passed(stages, output).message) for output in outputs]
        return b"".join(written) + fold.finish()

    def sides(self, name: str) -> tuple[Stage[Any, Any], list[Any], list[Any]]:
        """Return the stage of that name, those before it and those after it."""
        stages = list(self.workload.transforms)
        at = [stage.name for stage in stages].index(name)
        return stages[at], stages[:at], stages[at + 1 :]


def passed(stages: Sequence[Stage[Any, Any]], batch: Output[Any]) -> Output[Any]:
    """Pass a batch through stages; raise InvarianceError for one that raises."""
    for stage in stages:
        batch = applied(stage, batch.message)
    return batch


def applied(stage: Stage[Any, Any], message: Message) -> Output[Any]:
    """Apply a stage function; raise InvarianceError where it raises."""
    try:
        return stage(message)
    except Exception as error:
        raise InvarianceError(
            f"stage {stage.name} raised {raised(error)}\n{user_traceback(error)}"
        ) from error


def whole_of(parts: Sequence[Output[Any]]) -> Output[Any] | None:
    """Return the batches as one; None where they can't be put together."""
    try:
        message = joined([part.message for part in parts])
    except UsageError:
        return None
    return Output(
        message,
        records=sum(part.records for part in parts),
        filtered=sum(part.filtered for part in parts),
        rejections=[rejection for part in parts for rejection in part.rejections],
    )


def is_columns(output: Output[Any]) -> bool:
    """Say whether a payload has one value for each record, as columns have.

    One that has not is a summary of its batch, such as an aggregation state, and
    summaries can't be compared by putting them end to end.
    """
    return _rows(output.message) == output.records


def _rows(message: Message) -> int:
    fields = message.DESCRIPTOR.fields
    columns = [
        len(getattr(message, field.name)) for field in fields if field.is_repeated
    ]
    if columns:
        return min(columns)
    return sum(
        _rows(getattr(message, field.name))
        for field in fields
        if field.message_type is not None
    )


def exact(message: Message) -> bytes:
    """Return bytes that are the same for the same message, −0.0 told from 0.0."""
    return message.SerializeToString(deterministic=True)


def report(case: Case, finding: str, prop: str, stage: str = "") -> str:
    """Describe what was found: the stream, the cutting, and how to see it again."""
    workload = case.workload.name
    where = f"workload {workload}" + (f", stage {stage}" if stage else "")
    sizes = ",".join(map(str, case.cutting))
    command = ["python", "-m", "pytest_pipeline.invariance", workload]
    command += ["--property", prop]
    command += ["--stage", stage] if stage else []
    command += ["--cutting", sizes] if sizes else []
    command += ["--stream", case.stream.encode()]
    return "\n".join(
        [
            f"{where}: {finding}",
            f"the smallest stream, of {len(case.stream)} records:",
            *(f"  {line}" for line in str(case.stream).splitlines()),
            f"cut after: {sizes or 'nothing, it is one batch'}",
            "to see it again:",
            f"  {shlex.join(command)}",
        ]
    )
