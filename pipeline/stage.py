"""The stage contract: what a workload is made of.

A workload is a source, the stage functions of its transform stages, and a sink. All
of them are plain Python over protobuf messages; engines and servers wrap around
them and know nothing of the payload.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import index
from types import TracebackType
from typing import (
    Any,
    Generic,
    Protocol,
    Self,
    SupportsIndex,
    TypeVar,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    runtime_checkable,
)

from google.protobuf.message import Message

from pipeline.batching import BatchLimits
from pipeline.errors import UsageError, one_line
from pipeline.v1.pipeline_pb2 import Rejection

In = TypeVar("In", bound=Message)
Out = TypeVar("Out", bound=Message)
Payload_co = TypeVar("Payload_co", bound=Message, covariant=True)
Spec_contra = TypeVar("Spec_contra", bound=Message, contravariant=True)
Payload_contra = TypeVar("Payload_contra", bound=Message, contravariant=True)

_CODE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

INGEST = "ingest"
SINK = "sink"


@dataclass(frozen=True, slots=True)
class Output(Generic[Payload_co]):
    """What a source or a stage function makes of one batch.

    ``records + filtered + len(rejections)`` is the number of records that came in.
    """

    message: Payload_co
    #: Records that ``message`` stands for.
    records: int
    #: Records left out on purpose.
    filtered: int = 0
    #: Records refused, by ascending record number.
    rejections: Sequence[Rejection] = ()


class Refused(Exception):  # noqa: N818 - it is about a record, and no error of ours
    """A record is refused, for a reason in lower_snake_case; perhaps about a field.

    For whoever reads one record at a time to raise. Raises ValueError for a reason that
    is no such code.
    """

    def __init__(self, reason: str, field: str = "") -> None:
        super().__init__(reason, field)
        if _CODE.fullmatch(reason) is None:
            raise ValueError(f"reason {reason!r}: must be in lower_snake_case")
        self.reason = reason
        self.field = field

    def rejection(self, record: int) -> Rejection:
        """Return what a stage says of the record with that sequence number."""
        return Rejection(record=record, reason=self.reason, field=self.field)


@dataclass(frozen=True, slots=True)
class Stage(Generic[In, Out]):
    """A transform stage: a name and a pure function from one message to the next.

    The function keeps nothing between calls and gives the same for the same message,
    so that a batch can be replayed, or sent to any replica.
    """

    name: str
    takes: type[In]
    returns: type[Out]
    function: Callable[[In], Output[Out]]

    def __call__(self, message: In) -> Output[Out]:
        """Apply the function and check what it returns; see `check_output`."""
        __tracebackhide__ = True
        output = self.function(message)
        check_output(output, self.returns)
        return output


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


def stage(function: Callable[[In], Output[Out]], name: str = "") -> Stage[In, Out]:
    """Make a stage of a function from its name and its annotations.

    Raises UsageError where they do not say which message it takes and which it
    returns.
    """
    name = name or function.__name__
    takes, returns = annotated_types(function, name)
    made = get_args(returns)[0] if get_origin(returns) is Output else None
    if not (is_message_type(takes) and is_message_type(made)):
        raise UsageError(
            f"stage {name}: its function must be annotated as one from a protobuf "
            f"message to Output[another]"
        )
    return Stage(name, cast("type[In]", takes), cast("type[Out]", made), function)


def annotated_types(function: Callable[..., Any], name: str) -> tuple[Any, Any]:
    """Return what the function of stage ``name`` takes first, and what it returns.

    None stands for what is not annotated. Raises UsageError for a name that there is
    not.
    """
    try:
        hints = get_type_hints(function)
    except NameError as error:
        raise UsageError(f"stage {name}: {one_line(error)}") from error
    returns = hints.pop("return", None)
    return next(iter(hints.values()), None), returns


def is_message_type(hint: Any) -> bool:
    """Say whether an annotation is a type of protobuf messages."""
    return isinstance(hint, type) and issubclass(hint, Message)


class ByteReader(Protocol):
    """Something open for reading bytes."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes; none at the end."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


@runtime_checkable
class WaitingReader(ByteReader, Protocol):
    """A reader whose bytes may be long in coming, so that one can stop waiting."""

    def read_within(self, size: int, timeout_s: float, /) -> bytes | None:
        """Return up to ``size`` bytes; none at the end.

        None stands for nothing yet: after ``timeout_s``, which may be inf, or sooner.
        """


class Opener(Protocol):
    """Where a source may read from."""

    def open(self, path: str) -> ByteReader:
        """Open ``path`` for reading bytes; "-" is standard input, a WaitingReader.

        Raises SourceError where there is nothing to read, or no leave to read it.
        """


class Read(Protocol[Spec_contra, Payload_co]):
    """Reads records and cuts them into batches."""

    def __call__(
        self, spec: Spec_contra, limits: BatchLimits, max_records: int, inputs: Opener
    ) -> Iterator[Output[Payload_co]]:
        """Yield the records that ``spec`` names, in order, as full batches.

        A source that waits for its records also yields a batch that has lingered as
        long as ``limits`` lets it. ``max_records`` 0 means all. Raises SourceError
        where they can't be read.
        """


@dataclass(frozen=True, slots=True)
class Source(Generic[In, Out]):
    """Where the records of a workload come from."""

    #: The message that tells ingest what to read.
    spec: type[In]
    #: The payload of the batches.
    returns: type[Out]
    #: Makes a spec. Its parameters are the options of a run that the source knows:
    #: ``path`` is the input file, those without a default have to be given.
    describe: Callable[..., In]
    read: Read[In, Out]


class ResultFold(Protocol[Payload_contra]):
    """Folds the payloads of a run, in order, into the bytes of its result.

    What it has gathered is a commutative monoid: a new fold is the zero, ``add`` the
    update, ``merge`` the operation. Its state is a message, so that it can be kept,
    sent, and gone on from.
    """

    @property
    def records(self) -> int:
        """Records folded so far, counted from the payloads."""

    def add(self, message: Payload_contra, /) -> bytes:
        """Fold one payload in; return the bytes that can be written already."""

    def state(self) -> Message:
        """Return what `finish` needs to know; equal states are equal bytes."""

    def merge(self, state: Any, /) -> None:
        """Gather what another fold of this workload had when it gave its ``state``."""

    def finish(self) -> bytes:
        """Return the rest of the result."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A source, the transform stages in order, and the fold that makes the result.

    Raises UsageError where a stage takes another message than the one before it
    returns, or two stages have one name.
    """

    source: Source[Any, Any]
    transforms: tuple[Stage[Any, Any], ...]
    new_result: Callable[[], ResultFold[Any]]
    #: What `workload_named` finds it by, and sets where it is not one of ours.
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
        """The message type that the result is folded from."""
        last = self.transforms[-1] if self.transforms else self.source
        result_type: type[Message] = last.returns
        return result_type

    @property
    def stage_names(self) -> tuple[str, ...]:
        """The stages in the order in which a batch passes them."""
        return (INGEST, *(stage.name for stage in self.transforms), SINK)

    def transform(self, name: str) -> Stage[Any, Any]:
        """Return the transform stage of that name; KeyError if there is none."""
        for stage in self.transforms:
            if stage.name == name:
                return stage
        raise KeyError(name)
