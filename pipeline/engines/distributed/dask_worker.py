"""What Dask loads in each worker of a local cluster."""

from __future__ import annotations

from pipeline.transport.environment import configure_process


def dask_setup(_: object) -> None:
    """Set the process up as other processes of this package are."""
    configure_process()
