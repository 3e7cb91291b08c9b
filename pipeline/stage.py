"""The stage contract: what a workload is made of.

A workload is a source, the stage functions of its transform stages, and a sink. All
of them are plain Python over protobuf messages; engines and servers wrap around
them and know nothing of the payload.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from google.protobuf.message import Message

from pipeline.batching import BatchLimits
from pipeline.v1.pipeline_pb2 import Rejection

In = TypeVar("In", bound=Message)
Out = TypeVar("Out", bound=Message)
Payload_co = TypeVar("Payload_co", bound=Message, covariant=True)
Payload_contra = TypeVar("Payload_contra", bound=Message, contravariant=True)

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


class Opener(Protocol):
    """Where a source may read from."""

    def open(self, path: str) -> ByteReader:
        """Open ``path`` for reading bytes; "-" is standard input.

        Raises SourceError where there is nothing to read, or no leave to read it.
        """


class Source(Protocol):
    """Reads records and cuts them into batches."""

    def __call__(
        self, spec: Any, limits: BatchLimits, max_records: int, inputs: Opener
    ) -> Iterator[Output[Message]]:
        """Yield the records that ``spec`` names, in order, as full batches.

        ``max_records`` 0 means all. Raises SourceError where they can't be read.
        """


class ResultFold(Protocol[Payload_contra]):
    """Folds the payloads of a run, in order, into the bytes of its result."""

    @property
    def records(self) -> int:
        """Records folded so far, counted from the payloads."""

    def add(self, message: Payload_contra, /) -> bytes:
        """Fold one payload in; return the bytes that can be written already."""

    def finish(self) -> bytes:
        """Return the rest of the result."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A source, the transform stages in order, and the fold that makes the result."""

    name: str
    source: Source
    #: The message type that describes the source to ``source``.
    source_spec: type[Message]
    transforms: tuple[Stage[Any, Any], ...]
    #: The message type that the last transform returns.
    result_takes: type[Message]
    new_result: Callable[[], ResultFold[Any]]

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
