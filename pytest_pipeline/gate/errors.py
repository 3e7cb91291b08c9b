"""The errors that prevent a verdict."""

from __future__ import annotations

from typing import ClassVar

from pipeline.errors import PipelineError


class GateFaultError(PipelineError):
    """A side can't be built or collected, or one of its benchmarks failed."""

    exit_code: ClassVar[int] = 3


class GateUsageError(PipelineError):
    """The repository or revision does not exist, or a setting is invalid."""

    exit_code: ClassVar[int] = 4
