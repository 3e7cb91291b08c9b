"""Workloads: a source, transform stages, and the result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from pipeline.errors import UsageError
from pipeline.result import Accumulator
from pipeline.source import Source
from pipeline.stages import INGEST, SINK, Stage


@dataclass(frozen=True, slots=True)
class Workload:
    """A source, the transform stages in order, and the accumulator of the result.

    Raises:
        UsageError: A stage takes another message than the one before it returns, or two
            stages have the same name.

    Example::

        ACCESS_LOGS = Workload(
            source=LINES,
            transforms=(stage(parse), stage(routes), stage(aggregate)),
            new_result=TotalsByRoute,
        )
    """

    source: Source[Any, Any]
    #: Each takes the message type that the one before it returns.
    transforms: tuple[Stage[Any, Any], ...]
    #: Makes the accumulator of a run: its class, or a function without parameters.
    new_result: Callable[[], Accumulator[Any]]
    #: What `workload_named` finds it by. `workload_named` sets it.
    name: str = ""

    def __post_init__(self) -> None:
        made, maker = self.source.returns, INGEST
        for stage in self.transforms:
            if stage.takes is not made:
                raise UsageError(
                    f"stage {stage.name} takes {stage.takes.__name__}, but {maker} "
                    f"returns {made.__name__}"
                )
            made, maker = stage.returns, stage.name
        for name, count in Counter(self.stage_names).items():
            if count > 1:
                raise UsageError(f"stage {name}: {count} stages have that name")

    @property
    def result_takes(self) -> type[Message]:
        """The message type that the accumulator adds."""
        last = self.transforms[-1] if self.transforms else self.source
        result_type: type[Message] = last.returns
        return result_type

    @property
    def stage_names(self) -> tuple[str, ...]:
        """The names of all stages, in the order in which a batch passes them."""
        return (INGEST, *(stage.name for stage in self.transforms), SINK)

    def transform(self, name: str) -> Stage[Any, Any]:
        """Return the transform stage of that name.

        Raises:
            KeyError: There is none.
        """
        for stage in self.transforms:
            if stage.name == name:
                return stage
        raise KeyError(name)
