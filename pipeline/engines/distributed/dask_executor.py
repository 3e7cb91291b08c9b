"""Executors of Dask: a cluster of this machine, or one that runs already."""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from pipeline.engines.distributed import dask_worker
from pipeline.engines.distributed.executor import Executor, Pending
from pipeline.engines.distributed.worker_processes import environment, undisturbed
from pipeline.errors import LostStageError, StageError, UsageError, one_line

try:
    import dask
    from dask.system import CPU_COUNT
    from distributed import Client, Future, KilledWorker, LocalCluster
    from distributed.client import FutureCancelledError
    from distributed.comm import CommClosedError
except ImportError as error:
    raise UsageError(
        f"--engine dask: can't import Dask: {one_line(error)}; "
        f"pip install 'pytest-grpc-pipeline[dask]'"
    ) from error

# How often a part is run again when its worker is lost.
_RETRIES = 3
_LOOK_S = 0.5
_CONNECT_S = 5.0
_WORKERS_S = 30.0
_LOGGERS = ("distributed", "distributed.client")
_LOOPBACK = "127.0.0.1"
# Dask's default, which gives freed memory back to the kernel after each batch.
_TRIMMED = {"MALLOC_TRIM_THRESHOLD_": 65536}


@contextmanager
def local_executor(workers: int | None, *, are_forked: bool) -> Iterator[Executor]:
    """Start a cluster on loopback; stop it at the end.

    Args:
        workers: How many; None for one for each core.
        are_forked: Whether they are forked from the fork server that runs.
    """
    count = workers or CPU_COUNT
    with ExitStack() as stack:
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="pipeline-dask-")
        )
        stack.enter_context(
            dask.config.set(
                {
                    "temporary-directory": folder,
                    "distributed.scheduler.allowed-failures": _RETRIES,
                    **_process_settings(are_forked=are_forked),
                }
            )
        )
        stack.enter_context(_silent_logs())
        closing = stack.enter_context(_closed_undisturbed())
        with undisturbed(), _named_failures("Dask can't be started"):
            cluster = closing.enter_context(
                LocalCluster(
                    n_workers=count,
                    threads_per_worker=1,
                    host=_LOOPBACK,
                    dashboard_address=f"{_LOOPBACK}:0",
                    worker_dashboard_address=f"{_LOOPBACK}:0",
                    local_directory=folder,
                    silence_logs=logging.CRITICAL,
                    preload=[dask_worker.__name__],
                    env=environment() if are_forked else None,
                )
            )
            client = closing.enter_context(Client(cluster, set_as_default=False))
        yield _DaskExecutor(client, count, "of this run")


def _process_settings(*, are_forked: bool) -> dict[str, Any]:
    """Return settings of worker processes, where the user has left Dask's defaults."""
    environ = "distributed.nanny.pre-spawn-environ"
    method = "distributed.worker.multiprocessing-method"
    kept = dict(dask.config.get(environ).items() - _TRIMMED.items())
    settings: dict[str, Any] = {
        environ: kept,
        # Samples the stack all the time, for a dashboard that nobody opens.
        "distributed.worker.profile.enabled": False,
    }
    if are_forked and dask.config.get(method) == "spawn":
        settings[method] = "forkserver"
    return settings


@contextmanager
def remote_executor(address: str) -> Iterator[Executor]:
    """Connect to a scheduler that runs already."""
    with _silent_logs(), _closed_undisturbed() as closing:
        with _named_failures(f"no scheduler of Dask answers at {address}"):
            client = closing.enter_context(
                Client(address, timeout=_CONNECT_S, set_as_default=False)
            )
        try:
            client.wait_for_workers(1, timeout=_WORKERS_S)
        except TimeoutError:
            raise StageError(
                f"the cluster at {address} has no workers; start one with "
                f"dask worker {address}"
            ) from None
        yield _DaskExecutor(client, sum(client.nthreads().values()), f"at {address}")


@contextmanager
def _silent_logs() -> Iterator[None]:
    """Keep Dask from logging what the run reports: lost workers and schedulers."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _named_failures(what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, TimeoutError, TypeError, ValueError) as error:
        raise StageError(f"{what}: {one_line(error)}") from error


@contextmanager
def _closed_undisturbed() -> Iterator[ExitStack]:
    """Yield a stack that a second signal does not keep from closing."""
    stack = ExitStack()
    try:
        yield stack
    finally:
        # How the run has ended is decided, and its result may be published.
        with undisturbed(), suppress(Exception):
            stack.close()


class _DaskExecutor:
    def __init__(self, client: Client, workers: int, cluster: str) -> None:
        self.workers = workers
        self._client = client
        self._cluster = cluster

    def submit(self, function: Callable[[Any], Any], item: Any, /) -> Pending:
        # What raises is not retried, and what is lost with its worker is.
        with undisturbed(), _named_loss(self._cluster):
            future = self._client.submit(function, item, pure=False)
        return _DaskPending(future, item, self._cluster)


class _DaskPending:
    def __init__(self, future: Future, item: object, cluster: str) -> None:
        self._future = future
        self._done = threading.Event()
        future.add_done_callback(lambda _: self._done.set())
        self._item = item
        self._cluster = cluster

    def result(self) -> Any:
        # A signal ends this wait. It must not end a step inside Dask. One that comes
        # just before the wait does not end it, so there are several.
        while not self._done.wait(_LOOK_S):
            pass
        with undisturbed(), _named_loss(self._cluster):
            try:
                return self._future.result()
            except KilledWorker as error:
                raise LostStageError(
                    f"{self._item}: {error.allowed_failures + 1} workers were lost "
                    f"while they ran it; a function may crash, or run out of memory"
                ) from error


@contextmanager
def _named_loss(cluster: str) -> Iterator[None]:
    try:
        yield
    except (CommClosedError, FutureCancelledError) as error:
        raise LostStageError(
            f"the scheduler {cluster} is gone; run again when it is back"
        ) from error
