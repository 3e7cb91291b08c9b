"""The input file that the suites take records from."""

from __future__ import annotations

from pipeline.errors import UsageError, one_line
from pipeline.workloads import workload_named
from pytest_pipeline.options import PipelineSettings
from pytest_pipeline.records.samples import sample


def data_of(settings: PipelineSettings) -> bytes | None:
    """Read the file that --pipeline-data names; return None if the option is not set.

    Raises:
        UsageError: the file can't be read.
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
    """Check that there are sample records of every workload, before any test runs.

    Raises:
        UsageError: a workload is not known, its input is missing, or it has no records.
    """
    data = data_of(settings)
    for name in settings.workload:
        sample(workload_named(name), data)
