"""Read from the options what a suite measures, for its ``pytest_generate_tests``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from pipeline.errors import PipelineError
from pytest_pipeline.options import settings_given, settings_of


def selected_workloads(
    config: pytest.Config, default: Sequence[str], *, by_stage: bool = True
) -> Sequence[str]:
    """Return the names of the workloads to measure.

    Args:
        config: Of the session.
        default: The workloads of the suite, where the options select none.
        by_stage: Whether ``--pipeline-stage`` selects one too: a stage server that the
            user starts serves one workload only.
    """
    options = {"workload", "stage"} if by_stage else {"workload"}
    if settings_given(config) & options:
        return settings_of(config).workload
    return default


def selected_batch_sizes(
    config: pytest.Config, default: Sequence[int]
) -> Sequence[int]:
    """Return the batch sizes to measure; ``default`` where the options give none.

    Raises:
        UsageError: The options give none but ``auto``, which has no fixed size.
    """
    if "batch_sizes" not in settings_given(config):
        return default
    sizes = [size for size in settings_of(config).batch_sizes if size != "auto"]
    if not sizes:
        raise pytest.UsageError(
            "--pipeline-batch-sizes auto: this suite measures fixed sizes; give numbers"
        )
    return sizes


@contextmanager
def usage_errors_stop_collection() -> Iterator[None]:
    """Report a usage error once, at collection, rather than in every test."""
    try:
        yield
    except (PipelineError, pytest.UsageError) as error:
        raise pytest.Collector.CollectError(f"usage error: {error}") from error
