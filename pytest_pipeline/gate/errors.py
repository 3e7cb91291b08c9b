"""The errors that prevent a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pipeline.errors import PipelineError


class GateFaultError(PipelineError):
    """A side can't be built or collected, or one of its benchmarks failed.

    Args:
        message: What is wrong, in one line.
        output: What the test or the command said; its last lines are shown.
        log: The file with all output. It is kept.
    """

    exit_code: ClassVar[int] = 3

    def __init__(
        self, message: str, *, output: str = "", log: Path | None = None
    ) -> None:
        super().__init__(message)
        self.output = output
        self.log = log


class GateUsageError(PipelineError):
    """The repository or revision does not exist, or a setting is invalid."""

    exit_code: ClassVar[int] = 4
