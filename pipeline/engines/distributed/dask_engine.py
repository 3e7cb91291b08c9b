"""The engine ``dask``: parts run on a cluster of Dask, or on a local one."""

from __future__ import annotations

from functools import partial
from urllib.parse import urlsplit

from pipeline.engines.distributed import dask_worker, work
from pipeline.engines.distributed.engine import DistributedEngine
from pipeline.engines.distributed.worker_processes import start_fork_server
from pipeline.errors import UsageError


def engine(
    address: str | None = None, workers: int | None = None, window: int | None = None
) -> DistributedEngine:
    """Return the engine ``dask``.

    Args:
        address: Of the scheduler, such as tcp://10.0.0.1:8786; None starts a cluster on
            this machine, which ends with the run.
        workers: Processes of that cluster; None for one for each core.
        window: See `DistributedEngine`.

    Raises:
        UsageError: An option is out of range, or contradicts another, or Dask is not
            installed.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"workers {workers}: must be 1 or more")
    if address is not None:
        if workers is not None:
            raise UsageError(
                f"--workers: the cluster at {address} has its own; leave it out"
            )
        _check_address(address)
        from pipeline.engines.distributed.dask_executor import remote_executor

        return DistributedEngine("dask", partial(remote_executor, address), window)
    # First, since importing Dask takes most of the time until the first part runs.
    are_forked = start_fork_server("distributed", dask_worker.__name__, work.__name__)
    from pipeline.engines.distributed.dask_executor import local_executor

    return DistributedEngine(
        "dask", partial(local_executor, workers, are_forked=are_forked), window
    )


def _check_address(address: str) -> None:
    try:
        found = urlsplit(address)
        if found.scheme in {"tcp", "tls"} and found.hostname and found.port:
            return
    except ValueError:
        pass  # the port is none
    raise UsageError(
        f"--address {address}: must be tcp://HOST:PORT or tls://HOST:PORT, as the "
        f"scheduler prints it"
    )
