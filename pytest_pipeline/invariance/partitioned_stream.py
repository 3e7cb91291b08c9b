"""A stream and its partition, and what the stage functions make of its batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from google.protobuf.message import Message

from pipeline.errors import PipelineError, raised, user_traceback
from pipeline.stages import Output, Stage
from pipeline.workload import Workload
from pytest_pipeline.records.cuts import fewest_batches
from pytest_pipeline.records.streams import Partition, Stream

# Longer values are shown from a little before the place where they differ.
_SHOWN, _SHOWN_BYTES = 500, 120
_BEFORE, _AFTER = 20, 60

_Text = TypeVar("_Text", str, bytes)


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

    @property
    def uncut(self) -> PartitionedStream:
        """The same stream in one batch; in more only if one would have too many bytes.

        What every other partition must equal.
        """
        return replace(self, partition=fewest_batches(self.stream))

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


def difference(
    expected: object, found: object, names: tuple[str, str] = ("", "")
) -> str:
    """Show two values that differ, each in a line; if they are long, where they do.

    Args:
        expected: the one value.
        found: the other.
        names: what to write before each.
    """
    shown = [repr(expected), repr(found)]
    where = ""
    longest = max(map(len, shown))
    if isinstance(expected, bytes) and isinstance(found, bytes):
        if longest > _SHOWN_BYTES:
            at = _first_difference(expected, found)
            where = f", from byte {at:,} of {len(expected):,} and {len(found):,}"
            shown = [repr(_around(value, at)) for value in (expected, found)]
    elif longest > _SHOWN:
        if isinstance(expected, str) and isinstance(found, str):
            at = _first_difference(expected, found)
            where = f", from character {at:,}"
            shown = [repr(_around(value, at)) for value in (expected, found)]
        elif isinstance(expected, list) and isinstance(found, list):
            at = _first_difference(expected, found)
            where = f", from number {at:,} of {len(expected):,} and {len(found):,}"
            shown = [repr(value[at : at + 1]) for value in (expected, found)]
    lines = [
        f"  {name}{text if len(text) <= _SHOWN else text[:_SHOWN] + '…'}"
        for name, text in zip(names, shown, strict=True)
    ]
    return "\n".join([where, *lines])


def _first_difference(expected: Sequence[object], found: Sequence[object]) -> int:
    """Return the first index with other items; the shorter length if there is none."""
    pairs = enumerate(zip(expected, found, strict=False))
    ends = min(len(expected), len(found))
    return next((at for at, (one, other) in pairs if one != other), ends)


def _around(value: _Text, at: int) -> _Text:
    return value[max(0, at - _BEFORE) : at + _AFTER]
