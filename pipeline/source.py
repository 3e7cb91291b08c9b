"""Sources: where the records of a workload come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar, runtime_checkable

from google.protobuf.message import Message

from pipeline.batching import BatchLimits
from pipeline.stages import In, Out, Output, Payload_co

Spec_contra = TypeVar("Spec_contra", bound=Message, contravariant=True)


class ByteReader(Protocol):
    """A file, or standard input, that is open for reading bytes."""

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
    """A `ByteReader` that can wait for its bytes with a timeout."""

    def read_within(self, size: int, timeout_s: float, /) -> bytes | None:
        """Return up to ``size`` bytes; none at the end.

        Returns None if no bytes came within ``timeout_s`` seconds, which may be inf.
        It may also return None earlier, so call it in a loop.
        """


class Opener(Protocol):
    """Opens the files that a source reads.

    A stage server opens files in the folders it was given and nowhere else.
    """

    def open(self, path: str) -> ByteReader:
        """Open ``path`` for reading bytes; "-" is standard input, a `WaitingReader`.

        Raises:
            SourceError: The file is missing, can't be read, or may not be read.
        """


class ReadFunction(Protocol[Spec_contra, Payload_co]):
    """The function of a source: it reads records and cuts them into batches."""

    def __call__(
        self, spec: Spec_contra, limits: BatchLimits, max_records: int, inputs: Opener
    ) -> Iterator[Output[Payload_co]]:
        """Yield the records that ``spec`` describes, in order, as full batches.

        A source that waits for its records also yields a batch that is not full once
        it is ``limits.linger_s`` seconds old.

        Args:
            spec: What to read.
            limits: When a batch is full. They may change after each batch if the source
                has ``live_limits``.
            max_records: Stop after so many records; 0 reads all.
            inputs: Opens files and standard input.

        Raises:
            SourceError: The records can't be read.
        """


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive records of a source, which begin where a batch begins."""

    #: Number of the first batch, from 0, and of the first record, from 1.
    first_batch: int
    first_record: int
    records: int
    #: Where they are, for the source that made the part. It can be pickled.
    where: Any = None

    def __str__(self) -> str:
        return f"part from record {self.first_record}"


class MapFunction(Protocol):
    """Calls a function for each item, maybe in other processes, in order."""

    def __call__(
        self, function: Callable[[Any], Any], items: Iterable[Any], /
    ) -> Iterator[Any]:
        """Yield what the function returns; it and the items can be pickled."""


@dataclass(frozen=True, slots=True)
class Division(Generic[In, Out]):
    """How a source is divided into parts that can be read independently.

    The parts together give exactly the batches of the source's ``read``.
    """

    #: The ``read`` of the source. A source with another one is not divided.
    read: ReadFunction[In, Out]
    #: Returns the parts of a spec, given limits that stay, the most records (0 for all)
    #: and a function to count with; None if this spec can't be divided.
    divide: Callable[[In, BatchLimits, int, MapFunction], Sequence[Part] | None]
    #: Yields the batches of a part.
    read_part: Callable[[In, BatchLimits, Part], Iterator[Output[Out]]]


@dataclass(frozen=True, slots=True)
class Source(Generic[In, Out]):
    """Where the records of a workload come from. `LINES` reads lines of text."""

    #: The type of the message that describes what to read.
    spec: type[In]
    #: The type of the payload of its batches.
    returns: type[Out]
    #: Makes a ``spec``. Its parameters are the options of ``pipeline run`` that the
    #: source knows: ``path`` is the input file, ``more`` are those to read after it,
    #: and an option whose parameter has no default must be given.
    describe: Callable[..., In]
    read: ReadFunction[In, Out]
    #: Whether ``read`` looks at the limits anew for each batch, so that they may change
    #: at batch size ``auto``. Otherwise batches have up to 1,000 records there.
    live_limits: bool = False
    #: Whether ``read`` gives the same records each time, as long as the input files do
    #: not change. Then a run reads again if ingest or the sink is lost.
    repeatable: bool = False
    #: How engines that run on several machines divide it; None if it can't be.
    division: Division[In, Out] | None = None
    #: Returns the message of the records from one position in a message, counted from
    #: 0, up to another; None if its messages can't be cut.
    cut: Callable[[Out, int, int], Out] | None = None
