"""How a check ends when it does not pass."""

from __future__ import annotations

from pipeline.errors import PipelineError


class Violation(PipelineError):  # noqa: N818 - a verdict on a stage, not a fault here
    """The stage breaks the contract."""


class HarnessFaultError(PipelineError):
    """The check itself went wrong, so it proves nothing about the stage."""
