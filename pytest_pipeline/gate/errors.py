"""Why a gate has no verdict: a side has failed, or there is no such revision."""

from __future__ import annotations

from typing import ClassVar

from pipeline.errors import PipelineError


class GateFaultError(PipelineError):
    """A side can't be built or collected, or a benchmark has failed there."""

    exit_code: ClassVar[int] = 3


class GateUsageError(PipelineError):
    """There is no such repository or revision, or a setting makes no sense."""

    exit_code: ClassVar[int] = 4
