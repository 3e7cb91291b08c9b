"""The engine ``dask``: parts run on a cluster of Dask, or on a local one."""

from __future__ import annotations

import logging
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import resource_tracker
from typing import Any
from urllib.parse import urlsplit

from pipeline.engines.distributed.engine import DistributedEngine
from pipeline.engines.distributed.executor import Executor, Pending
from pipeline.errors import StageError, UsageError, one_line

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
_CONNECT_S = 5.0
_WORKERS_S = 30.0
_LOGGERS = ("distributed", "distributed.client")
_LOOPBACK = "127.0.0.1"
_WORKER_SETUP = "pipeline.engines.distributed.dask_worker"


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
        UsageError: An option is out of range, or contradicts another.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"workers {workers}: must be 1 or more")
    if address is None:
        count = workers or CPU_COUNT
        return DistributedEngine("dask", lambda: _local(count), window)
    if workers is not None:
        raise UsageError(
            f"--workers: the cluster at {address} has its own; leave it out"
        )
    _check_address(address)
    return DistributedEngine("dask", lambda: _remote(address), window)


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


@contextmanager
def _local(workers: int) -> Iterator[Executor]:
    """Start a cluster on loopback; stop it at the end."""
    with ExitStack() as stack:
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="pipeline-dask-")
        )
        stack.enter_context(
            dask.config.set(
                {
                    "temporary-directory": folder,
                    "distributed.scheduler.allowed-failures": _RETRIES,
                }
            )
        )
        stack.enter_context(_silent_logs())
        closing = stack.enter_context(_closed_undisturbed())
        with _held_interrupts(), _named_failures("Dask can't be started"):
            cluster = closing.enter_context(
                LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    host=_LOOPBACK,
                    dashboard_address=f"{_LOOPBACK}:0",
                    worker_dashboard_address=f"{_LOOPBACK}:0",
                    local_directory=folder,
                    silence_logs=logging.CRITICAL,
                    preload=[_WORKER_SETUP],
                )
            )
            client = closing.enter_context(Client(cluster, set_as_default=False))
        yield _DaskExecutor(client, workers, "of this run")


@contextmanager
def _remote(address: str) -> Iterator[Executor]:
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
    """Yield a stack that a second Ctrl-C does not keep from closing."""
    stack = ExitStack()
    try:
        yield stack
    finally:
        # How the run has ended is decided, and its result may be published.
        with _held_interrupts(), suppress(Exception):
            stack.close()


@contextmanager
def _held_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back until the end.

    Processes and threads that are started meanwhile never receive it, nor do processes
    that those threads start later. So it reaches none of the workers, which the driver
    stops.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # Starting it would unblock the signal.
    resource_tracker.ensure_running()
    received: list[int] = []
    earlier = signal.signal(signal.SIGINT, lambda number, _: received.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, earlier)
        if received:
            signal.raise_signal(signal.SIGINT)


class _DaskExecutor:
    def __init__(self, client: Client, workers: int, cluster: str) -> None:
        self.workers = workers
        self._client = client
        self._cluster = cluster

    def submit(self, function: Callable[[Any], Any], item: Any, /) -> Pending:
        # What raises is not retried, and what is lost with its worker is.
        with _held_interrupts(), _named_loss(self._cluster):
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
        # Ctrl-C ends this wait. It must not end a step inside Dask.
        self._done.wait()
        with _held_interrupts(), _named_loss(self._cluster):
            try:
                return self._future.result()
            except KilledWorker as error:
                raise StageError(
                    f"{self._item}: {error.allowed_failures + 1} workers were lost "
                    f"while they ran it; a function may crash, or run out of memory"
                ) from error


@contextmanager
def _named_loss(cluster: str) -> Iterator[None]:
    try:
        yield
    except (CommClosedError, FutureCancelledError) as error:
        raise StageError(
            f"the scheduler {cluster} is gone; run again when it is back"
        ) from error
