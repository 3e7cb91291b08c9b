"""What can go wrong, as one tree.

::

    PipelineError
    ├── UsageError           a setting is wrong; nothing was started
    ├── SourceError          the source can't be read, or holds no records
    ├── SinkError            the result can't be written
    ├── StageError           a stage can't be started or reached, or has failed
    │   └── ContractError    a stage answered what the wire contract forbids
    └── ConservationError    ingested ≠ rejected + filtered + passed

Each message is one line that names the thing, what is wrong with it and, where
there is something to do, what to do. ``exit_code`` is what the command line ends
with.
"""

from __future__ import annotations

from typing import ClassVar


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


class ConservationError(PipelineError):
    """Records were lost or made: the counts of a run do not add up."""


def one_line(error: BaseException) -> str:
    """Say what ``error`` is about in one line, for a message or a status."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    text = " ".join(str(error).split())
    return text or type(error).__name__
