"""A stream and its partition, and what the stage functions make of its batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from pipeline.errors import PipelineError, raised, user_traceback
from pipeline.stages import Output, Stage
from pipeline.workload import Workload
from pytest_pipeline.records.streams import Partition, Stream


class InvarianceError(PipelineError):
    """A result depends on how the work was divided."""


@dataclass(frozen=True)
class PartitionedStream:
    """A stream of a workload, and one partition of it into batches.

    Example::

        PartitionedStream(EVENTS, sample(EVENTS), (1, 9, 30))
    """

    workload: Workload
    stream: Stream
    partition: Partition

    def outputs(self, stages: Sequence[Stage[Any, Any]]) -> list[Output[Any]]:
        """Return the outputs of the last of ``stages``, or of the source if none."""
        batches = self.stream.cut(self.partition)
        return [passed(stages, batch) for batch in batches]

    def result_of(
        self, outputs: Sequence[Output[Any]], stages: Sequence[Stage[Any, Any]]
    ) -> bytes:
        """Pass outputs through ``stages`` and return the bytes of the result."""
        fold = self.workload.new_result()
        written = [fold.add(passed(stages, output).message) for output in outputs]
        return b"".join(written) + fold.finish()

    def sides(self, name: str) -> tuple[Stage[Any, Any], list[Any], list[Any]]:
        """Return the stage called ``name``, those before it and those after it."""
        stages = list(self.workload.transforms)
        at = [stage.name for stage in stages].index(name)
        return stages[at], stages[:at], stages[at + 1 :]


def passed(stages: Sequence[Stage[Any, Any]], batch: Output[Any]) -> Output[Any]:
    """Pass a batch through stages; raise InvarianceError if one raises."""
    for stage in stages:
        batch = applied(stage, batch.message)
    return batch


def applied(stage: Stage[Any, Any], message: Message) -> Output[Any]:
    """Apply a stage function; raise InvarianceError if it raises."""
    try:
        return stage(message)
    except Exception as error:
        raise InvarianceError(
            f"stage {stage.name} raised {raised(error)}\n{user_traceback(error)}"
        ) from error
