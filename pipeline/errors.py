"""What can go wrong, as one tree.

::

    PipelineError
    ├── UsageError           a setting is wrong; nothing was started
    ├── SourceError          the source can't be read, or holds no records
    ├── SinkError            the result can't be written
    ├── StageError           a stage can't be started or reached, or has failed
    │   ├── ContractError    a stage answered what the wire contract forbids
    │   └── FunctionError    a function of the workload raised; has its traceback
    ├── ConservationError    ingested ≠ rejected + filtered + passed
    └── ReportError          what benchmarks have saved can't be read

Each message is one line that names the thing, what is wrong with it and, where
there is something to do, what to do. ``exit_code`` is what the command line ends
with.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from traceback import StackSummary, TracebackException, walk_tb
from typing import ClassVar

# A status has to fit in the headers of a call.
_MAX_LINE = 500


class PipelineError(Exception):
    """The root of the tree: a run that failed."""

    exit_code: ClassVar[int] = 1


class UsageError(PipelineError):
    """A setting is wrong, or two contradict each other; nothing was started."""

    exit_code = 2


class SourceError(PipelineError):
    """The source is missing, can't be read, or holds no records."""


class SinkError(PipelineError):
    """The result can't be written; an earlier result is as it was."""


class StageError(PipelineError):
    """A stage can't be started or reached, has died, or its function has failed."""


class ContractError(StageError):
    """A stage answered what the wire contract forbids."""


class FunctionError(StageError):
    """A function of the workload raised.

    ``traceback`` is the text of where, without the frames that called the function.
    """

    def __init__(self, message: str, traceback: str) -> None:
        super().__init__(message)
        self.traceback = traceback


class ConservationError(PipelineError):
    """Records were lost or made: the counts of a run do not add up."""


class ReportError(PipelineError):
    """What benchmarks have saved can't be read, or is none of ours."""


def one_line(error: BaseException) -> str:
    """Say what ``error`` is about in one line, for a message or a status."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    notes = getattr(error, "__notes__", [])
    text = " ".join(", ".join([str(error), *notes]).split())
    return textwrap.shorten(text, _MAX_LINE) or type(error).__name__


@dataclass(slots=True)
class Place:
    """Where in a run something goes on, for the message if it fails.

    As text it names what is known of the stage, the batch and its first record.
    """

    stage: str = ""
    batch: int | None = None
    #: Its sequence number, from 1; 0 where it is not known.
    first_record: int = 0

    def __str__(self) -> str:
        parts = [f"stage {self.stage}"] if self.stage else []
        if self.batch is not None:
            since = f", from record {self.first_record}" if self.first_record else ""
            parts.append(f"batch {self.batch}{since}")
        return ": ".join(parts)


def raised(error: BaseException) -> str:
    """Say in one line what a function raised: the type and what it is about."""
    return f"{type(error).__name__}: {one_line(error)}"


def user_traceback(error: BaseException) -> str:
    """Return the traceback of ``error`` as text, without the frames of the engine.

    Left out are frames with a local ``__tracebackhide__``, as pytest does.
    """
    shown = TracebackException.from_exception(error)
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    shown.stack = StackSummary.from_list(
        [
            summary
            for summary, frame in zip(shown.stack, frames, strict=True)
            if "__tracebackhide__" not in frame.f_locals
        ]
    )
    return "".join(shown.format())
