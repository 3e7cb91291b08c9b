"""Workloads: a source, transform stages, and the result."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from pipeline.accumulator import Accumulator, missing_members
from pipeline.errors import UsageError, one_line, raised
from pipeline.source import Source
from pipeline.stages import INGEST, SINK, Stage


@dataclass(frozen=True, slots=True)
class Workload:
    """A source, the transform stages in order, and the accumulator of the result.

    Everything is checked when the workload is made, so that a mistake fails before a
    server is started.

    Raises:
        UsageError: A part is missing or of another kind, a stage takes another message
            than the one before it returns, two stages have the same name, or the
            accumulator lacks a member.

    Example::

        ACCESS_LOGS = Workload(
            source=LINES,
            transforms=(stage(parse), stage(routes), stage(aggregate)),
            new_result=TotalsByRoute,
        )
    """

    source: Source[Any, Any]
    #: One or more; each takes the message type that the one before it returns. A list
    #: becomes a tuple.
    transforms: tuple[Stage[Any, Any], ...]
    #: Makes the accumulator of a run: its class, or a function without parameters. A
    #: function is called once when the workload is made, to check what it returns.
    new_result: Callable[[], Accumulator[Any]]
    #: What `workload_named` finds it by. `workload_named` sets it.
    name: str = ""

    def __post_init__(self) -> None:
        try:
            _check_source(self.source)
            transforms = _checked_transforms(self.transforms)
            object.__setattr__(self, "transforms", transforms)
            _check_order(self.source, transforms)
            _check_result(self.new_result)
        except UsageError as error:
            if not self.name:
                raise
            raise UsageError(f"workload {self.name}: {error}") from error

    @property
    def result_takes(self) -> type[Message]:
        """The message type that the accumulator adds."""
        result_type: type[Message] = self.transforms[-1].returns
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


def _check_source(source: Any) -> None:
    if not isinstance(source, Source):
        raise UsageError(
            f"source: is {_kind(source)}, not a Source; write LINES, or Source(...) "
            f"for one of your own"
        )


def _checked_transforms(transforms: Any) -> tuple[Stage[Any, Any], ...]:
    if isinstance(transforms, Stage) or not isinstance(transforms, Sequence):
        raise UsageError(
            f"transforms: is {_kind(transforms)}, not a tuple; write "
            f"transforms=(stage(function),) with a comma"
        )
    if not transforms:
        raise UsageError(
            "transforms: has no stage; write transforms=(stage(function),)"
        )
    for stage in transforms:
        if not isinstance(stage, Stage):
            name = getattr(stage, "__name__", "function")
            raise UsageError(
                f"transforms: {name} is {_kind(stage)}, not a Stage; write "
                f"stage({name}), or per_record({name}) if it takes one record"
            )
    return tuple(transforms)


def _check_order(
    source: Source[Any, Any], transforms: Sequence[Stage[Any, Any]]
) -> None:
    made, maker = source.returns, INGEST
    for stage in transforms:
        if stage.name in (INGEST, SINK):
            raise UsageError(
                f"stage {stage.name}: every workload has one of that name; write "
                f"stage(function, 'another_name')"
            )
        if stage.takes is not made:
            raise UsageError(
                f"stage {stage.name} takes {stage.takes.__name__}, but {maker} "
                f"returns {made.__name__}"
            )
        made, maker = stage.returns, stage.name
    for name, count in Counter(stage.name for stage in transforms).items():
        if count > 1:
            raise UsageError(
                f"stage {name}: {count} stages have that name; write "
                f"stage(function, 'another_name')"
            )


def _check_result(new_result: Any) -> None:
    """Check the accumulator without making one, if ``new_result`` is its class."""
    if isinstance(new_result, Stage) or not callable(new_result):
        raise UsageError(
            f"new_result: is {_kind(new_result)}; write the class of the accumulator, "
            f"or a function that makes one"
        )
    name = getattr(new_result, "__name__", type(new_result).__name__)
    try:
        inspect.signature(new_result).bind()
    except ValueError:
        pass  # some built-in classes have no signature
    except TypeError as error:
        raise UsageError(
            f"new_result: {name} must take no arguments: {one_line(error)}"
        ) from error
    made = new_result
    if not isinstance(new_result, type):
        try:
            made = new_result()
        except Exception as error:
            raise UsageError(f"new_result: {name}() raised {raised(error)}") from error
        name = _kind(made)
    if missing := missing_members(made):
        raise UsageError(
            f"new_result: {name} has no {' and no '.join(missing)}; write what "
            f"pipeline.Accumulator describes"
        )


def _kind(thing: Any) -> str:
    """Return what kind of thing it is, for a message."""
    if isinstance(thing, type):
        return f"the class {thing.__name__}"
    if isinstance(thing, Stage):
        return f"the stage {thing.name}"
    return f"a {type(thing).__name__}"
