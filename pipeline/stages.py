"""Stages: what one does to a batch, and the names of the first and the last."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import index
from typing import (
    Any,
    Generic,
    SupportsIndex,
    TypeVar,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from google.protobuf.message import Message

from pipeline.errors import UsageError, one_line
from pipeline.v1.pipeline_pb2 import Rejection

In = TypeVar("In", bound=Message)
Out = TypeVar("Out", bound=Message)
Payload_co = TypeVar("Payload_co", bound=Message, covariant=True)

_CODE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

INGEST = "ingest"
SINK = "sink"


@dataclass(frozen=True, slots=True)
class Output(Generic[Payload_co]):
    """One batch, as a source or a stage function returns it.

    ``records + filtered + len(rejections)`` is the number of records that came in.
    """

    #: The payload of the batch.
    message: Payload_co
    #: Number of records in ``message``.
    records: int
    #: Number of records left out on purpose.
    filtered: int = 0
    #: Rejected records, by ascending record number.
    rejections: Sequence[Rejection] = ()


class Refused(Exception):  # noqa: N818 - it rejects a record and is not an error
    """Raised by a function that reads one record, to reject that record.

    Args:
        reason: A code in lower_snake_case. Run reports count rejections by it.
        field: The field of the record that is wrong, if there is one.

    Raises:
        ValueError: ``reason`` is not in lower_snake_case.

    Example::

        raise Refused("out_of_range", field="bytes")
    """

    def __init__(self, reason: str, field: str = "") -> None:
        super().__init__(reason, field)
        if _CODE.fullmatch(reason) is None:
            raise ValueError(f"reason {reason!r}: must be in lower_snake_case")
        self.reason = reason
        self.field = field

    def rejection(self, record: int) -> Rejection:
        """Return the rejection of the record with this sequence number."""
        return Rejection(record=record, reason=self.reason, field=self.field)


@dataclass(frozen=True, slots=True)
class Stage(Generic[In, Out]):
    """A transform stage: a name and a stage function.

    The stage function is pure: it takes one message, returns one `Output`, keeps
    nothing between calls, and returns equal outputs for equal messages. A batch can
    then be processed again, or by any replica. `stage` makes a `Stage` from a
    function's name and annotations.
    """

    #: Unique in its workload; not ``ingest`` or ``sink``.
    name: str
    #: The type of the message that the function takes.
    takes: type[In]
    #: The type of the message in the function's output.
    returns: type[Out]
    function: Callable[[In], Output[Out]]
    #: Returns the message of the records from one position in a message that the
    #: function returned, counted from 0, up to another; None if it can't be cut.
    cut: Callable[[Out, int, int], Out] | None = None

    def __call__(self, message: In) -> Output[Out]:
        """Apply the function and check what it returns; see `check_output`."""
        __tracebackhide__ = True
        output = self.function(message)
        check_output(output, self.returns)
        return output


def cut_columns(message: Out, start: int, stop: int) -> Out:
    """Return the message of the records from one position up to another.

    Every repeated field of the message has one value for each record. The other fields
    are kept.
    """
    cut = type(message)()
    cut.CopyFrom(message)
    for field, values in message.ListFields():
        if field.is_repeated:
            cut.ClearField(field.name)
            getattr(cut, field.name).extend(values[start:stop])
    return cut


def check_output(output: object, declared: type[Message]) -> None:
    """Check what a stage function has returned for a batch, or a source yielded.

    Raises:
        TypeError: It is no `Output` of the message type that is declared, or a field
            of it has another type than it must have.
        ValueError: It counts fewer than 0 records.
    """
    __tracebackhide__ = True
    if not isinstance(output, Output):
        raise TypeError(
            f"returned {type(output).__name__}, not Output(message, records=...)"
        )
    if not isinstance(output.message, declared):
        raise TypeError(
            f"returned Output of {type(output.message).__name__}, not of "
            f"{declared.__name__}"
        )
    # Once a batch, so the usual values are passed without another call.
    records, filtered, rejections = output.records, output.filtered, output.rejections
    if type(records) is not int or records < 0:
        _check_count("records", records)
    if type(filtered) is not int or filtered < 0:
        _check_count("filtered", filtered)
    if rejections or (type(rejections) is not tuple and type(rejections) is not list):
        _check_rejections(rejections)


def _check_count(name: str, value: object) -> None:
    __tracebackhide__ = True
    must = f"returned Output with {name}={value!r}; must be an int, 0 or more"
    # NumPy's integers are no int, but can stand for one.
    if not isinstance(value, SupportsIndex):
        raise TypeError(must)
    if index(value) < 0:
        raise ValueError(must)


def _check_rejections(rejections: object) -> None:
    __tracebackhide__ = True
    must = "must be a sequence of Rejection(record=..., reason=...)"
    if not isinstance(rejections, Sequence):
        raise TypeError(
            f"returned Output with rejections of {type(rejections).__name__}; {must}"
        )
    for rejection in rejections:
        if not isinstance(rejection, Rejection):
            raise TypeError(
                f"returned Output with {rejection!r} among its rejections; {must}"
            )


def stage(
    function: Callable[[In], Output[Out]],
    name: str = "",
    *,
    cut: Callable[[Out, int, int], Out] | None = None,
) -> Stage[In, Out]:
    """Return the transform stage of a stage function; also a decorator.

    Args:
        function: Its first parameter is annotated with a protobuf message type, its
            return value with `Output` of one.
        name: The stage's name; the function's own if empty.
        cut: Cuts what the function returns; see `Stage.cut` and `cut_columns`.

    Raises:
        UsageError: The annotations are missing or of other types, or the function is
            not one of a single message.

    Example::

        def parse(lines: Lines) -> Output[Requests]: ...

        parse_stage = stage(parse)
    """
    name, takes, returns = inspected(function, name)
    made = get_args(returns)[0] if get_origin(returns) is Output else None
    if not (is_message_type(takes) and is_message_type(made)):
        raise UsageError(
            f"stage {name}: its function must be annotated as one from a protobuf "
            f"message to Output[another]"
        )
    return Stage(name, cast("type[In]", takes), cast("type[Out]", made), function, cut)


def inspected(function: Callable[..., Any], name: str) -> tuple[str, Any, Any]:
    """Return a stage's name, and what its function takes and returns.

    The name is ``name`` or the function's own. The types are the annotations of the
    first parameter and of the return value, None where there is none.

    Raises:
        UsageError: It is not a function of one argument that returns, or an annotation
            uses an undefined name.
    """
    if not callable(function):
        raise UsageError(f"stage: {function!r} is not a function")
    if isinstance(function, Stage):
        raise UsageError(f"stage {function.name}: is a stage already; use it as it is")
    name = name or getattr(function, "__name__", "")
    if not name:
        raise UsageError(
            f"stage: a {type(function).__name__} has no name; write "
            f"stage(function, 'name')"
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise UsageError(
            f"stage {name}: its function is a generator; return one value, don't yield"
        )
    if inspect.iscoroutinefunction(function):
        raise UsageError(f"stage {name}: its function is async; write def")
    try:
        inspect.signature(function).bind(None)
    except ValueError:
        pass  # some built-in functions have no signature
    except TypeError as error:
        raise UsageError(
            f"stage {name}: its function must take one argument: {one_line(error)}"
        ) from error
    try:
        hints = get_type_hints(function)
    except TypeError:
        hints = {}  # what is neither function nor class, such as a partial
    except NameError as error:
        raise UsageError(
            f"stage {name}: {one_line(error)}; an annotation must be imported at run "
            f"time, not only under TYPE_CHECKING"
        ) from error
    returns = hints.pop("return", None)
    return name, next(iter(hints.values()), None), returns


def is_message_type(hint: Any) -> bool:
    """Return whether an annotation is a protobuf message type."""
    return isinstance(hint, type) and issubclass(hint, Message)
