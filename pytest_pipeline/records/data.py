"""The input that the suites take records from."""

from __future__ import annotations

from pipeline.errors import UsageError, one_line
from pipeline.workloads import workload_named
from pytest_pipeline.options import PipelineSettings
from pytest_pipeline.records.samples import sample


def data_of(settings: PipelineSettings) -> bytes | None:
    """Return the input that --pipeline-data names; None where it names none.

    Raises UsageError where it can't be read.
    """
    if settings.data is None:
        return None
    try:
        return settings.data.read_bytes()
    except OSError as error:
        raise UsageError(
            f"--pipeline-data {settings.data}: {one_line(error)}"
        ) from error


def check_samples(settings: PipelineSettings) -> None:
    """Return if there are records of every workload, to be told before any test.

    Raises UsageError where there is no such workload, or its input is missing.
    """
    data = data_of(settings)
    for name in settings.workload:
        sample(workload_named(name), data)
