"""The errors of the pipeline, as one tree.

::

    PipelineError              the root: a run failed
    ├── UsageError             a setting is wrong; nothing was started
    ├── SourceError            the source can't be read, or holds no records
    ├── SinkError              the result can't be written
    ├── StageError             a stage can't be started or reached, or has failed
    │   ├── ContractError      a stage broke the wire contract
    │   ├── FunctionError      a function of the workload raised; has its traceback
    │   └── LostStageError     a server or worker has died, hangs or can't be reached
    ├── ConservationError      ingested ≠ rejected + filtered + passed
    └── ReportError            a saved benchmark report can't be read

Each message is one line: what is wrong with which thing, then what to do about it. The
command line exits with the ``exit_code`` of the error.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from traceback import StackSummary, TracebackException, walk_tb
from typing import ClassVar

# What ends a line or moves the cursor of a terminal, and halves of characters.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# A status travels in the trailing headers of a call, whose size is limited.
_MAX_LINE = 500


class PipelineError(Exception):
    """A run failed. The root of the tree."""

    #: The exit code of the command line.
    exit_code: ClassVar[int] = 1


class UsageError(PipelineError):
    """A setting is wrong, or two contradict each other; nothing was started."""

    exit_code = 2


class SourceError(PipelineError):
    """The source can't be read, holds no records, or too many that are rejected."""


class SinkError(PipelineError):
    """The result can't be written. An earlier result is left as it was."""


class StageError(PipelineError):
    """A stage can't be started or reached, has died, or its function has failed."""


class ContractError(StageError):
    """A stage broke the wire contract."""


class FunctionError(StageError):
    """A function of the workload raised.

    Attributes:
        traceback: The traceback as text, without the frames that called the function.
    """

    def __init__(self, message: str, traceback: str) -> None:
        super().__init__(message)
        self.traceback = traceback


class LostStageError(StageError):
    """The server of a stage, or a worker, has died, hangs or can't be reached.

    Attributes:
        reason: Only why, if the message says more than that.
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason or message


class ConservationError(PipelineError):
    """Records were lost or made: the counts of a run do not add up."""


class ReportError(PipelineError):
    """A saved benchmark report can't be read, or is no report of this plugin."""


def one_line(error: BaseException) -> str:
    """Return what ``error`` says, as one line of at most 500 characters.

    An OSError gives its reason in lower case, without its number and path. Notes of
    the exception are appended.
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    notes = getattr(error, "__notes__", [])
    text = " ".join(", ".join([str(error), *notes]).split())
    return textwrap.shorten(text, _MAX_LINE) or type(error).__name__


def without_controls(text: str) -> str:
    """Return ``text`` with control characters escaped, so that it stays one line."""
    return _CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text)


@dataclass(slots=True)
class Place:
    """Where a run is, for the message of an error that is raised there.

    ``str()`` names the stage, the batch and its first record, as far as each is known:
    "stage rules: batch 3, from record 301".
    """

    stage: str = ""
    batch: int | None = None
    #: Sequence number of the batch's first record, from 1; 0 if not known.
    first_record: int = 0

    def __str__(self) -> str:
        parts = [f"stage {self.stage}"] if self.stage else []
        if self.batch is not None:
            since = f", from record {self.first_record}" if self.first_record else ""
            parts.append(f"batch {self.batch}{since}")
        return ": ".join(parts)


def raised(error: BaseException) -> str:
    """Return the type and the text of an exception, as one line."""
    return f"{type(error).__name__}: {one_line(error)}"


def user_traceback(error: BaseException) -> str:
    """Return the traceback of ``error`` as text, without the engine's own frames.

    Leaves out every frame with a local variable ``__tracebackhide__``, as pytest does.
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
