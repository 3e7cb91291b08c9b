"""A peer: Arrow Flight, with each transform stage as a server in a process of its own.

A batch is a row of a binary column with its serialised message. Its counts and
rejections are the metadata of the row. This process is ingest and sink, and one thread
of it relays the batches between each two servers. It leaves out what `peers` says, and
ingest and the sink have no processes of their own. Importing the module needs pyarrow.
"""

from __future__ import annotations

import pickle
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, Self

import pyarrow as pa
from pyarrow import flight

from pipeline.accounting import RunReport
from pipeline.engines.base import RunSettings
from pipeline.errors import StageError, one_line
from pipeline.transport.environment import configure_process
from pipeline.workload import Workload
from pipeline.workloads import workload_named
from pytest_pipeline.measure.references.peers import PeerRun, applied, batches_of
from pytest_pipeline.measure.references.pipes import QueuedBatch

_SCHEMA = pa.schema([("message", pa.binary())])
_DESCRIPTOR = flight.FlightDescriptor.for_command(b"process")
_START_S = 30.0


def _write(writer: Any, batch: QueuedBatch) -> None:
    *head, message, records, filtered, rejections = batch
    row = pa.record_batch([pa.array([message], pa.binary())], schema=_SCHEMA)
    writer.write_with_metadata(
        row, pickle.dumps((*head, records, filtered, rejections))
    )


def _read(reader: Any) -> Iterator[QueuedBatch]:
    for chunk in reader:
        number, first, ingested, *rest = pickle.loads(chunk.app_metadata)  # noqa: S301
        yield number, first, ingested, chunk.data.column(0)[0].as_py(), *rest


class _StageServer(flight.FlightServerBase):
    def __init__(self, location: str, workload: Workload, stage: str) -> None:
        super().__init__(location)
        self._stage = workload.transform(stage)

    def do_exchange(self, _context: Any, _: Any, reader: Any, writer: Any) -> None:
        """Answer each batch with the one that the stage makes of it."""
        writer.begin(_SCHEMA)
        for batch in _read(reader):
            _write(writer, applied(self._stage, batch))


def serve(location: str, workload: str, stage: str, ready: Connection) -> None:
    """Serve a stage until this process is killed; send None once it is ready."""
    configure_process()
    server = _StageServer(location, workload_named(workload), stage)
    ready.send(None)
    ready.close()
    server.serve()


class FlightEngine:
    """Runs a workload on one Flight server for each transform stage.

    Use it in a ``with`` statement, which starts and ends the servers.
    """

    name = "flight"

    def __init__(self, workload: Workload) -> None:
        self._workload = workload

    def __enter__(self) -> Self:
        """Start the servers; raise StageError if one does not start."""
        began = time.perf_counter()
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            self._clients = [
                stack.enter_context(self._client(stack, stage.name, folder))
                for stage in self._workload.transforms
            ]
            self._stack = stack.pop_all()
        self._startup_s = time.perf_counter() - began
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _client(self, stack: ExitStack, stage: str, folder: str) -> Any:
        """Start the server of a stage, and return a client of it."""
        location = f"grpc+unix://{folder}/{stage}"
        context = get_context("spawn")
        receiving, sending = context.Pipe(duplex=False)
        with receiving:
            with sending:
                process = context.Process(
                    target=serve,
                    args=(location, self._workload.name, stage, sending),
                    daemon=True,
                )
                process.start()
            stack.callback(process.join)
            stack.callback(process.kill)
            try:
                if receiving.poll(_START_S):
                    receiving.recv()
                    return flight.connect(location)
            except EOFError:
                pass
        raise StageError(f"stage {stage}: its Flight server did not start")

    def run(self, settings: RunSettings) -> RunReport:
        """Run to the end; see `Engine.run`.

        Raises:
            PipelineError: The run fails; StageError with the text of Flight if it does
                so in a stage.
        """
        legs = [client.do_exchange(_DESCRIPTOR) for client in self._clients]
        with PeerRun(settings) as run:
            steps = [
                partial(_send, settings, legs[0][0]),
                *(
                    partial(_relay, reader, writer)
                    for (_, reader), (writer, _) in pairwise(legs)
                ),
                partial(_add, legs[-1][1], run),
            ]
            _do_all(steps, legs)
            report = run.publish(self.name, self._startup_s)
        settings.on_progress(report.records.ingested)
        return report


def _send(settings: RunSettings, writer: Any) -> None:
    writer.begin(_SCHEMA)
    for batch in batches_of(settings):
        _write(writer, batch)
    writer.done_writing()


def _relay(reader: Any, writer: Any) -> None:
    writer.begin(_SCHEMA)
    for chunk in reader:
        writer.write_with_metadata(chunk.data, chunk.app_metadata)
    writer.done_writing()


def _add(reader: Any, run: PeerRun) -> None:
    for batch in _read(reader):
        run.add(batch)


def _do_all(steps: Sequence[Callable[[], None]], legs: Sequence[Any]) -> None:
    """Do all steps in threads, and raise the first failure."""
    failures: list[Exception] = []

    def do(step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:
            failures.append(error)
            # No other thread may wait for what will not come.
            for _, reader in legs:
                reader.cancel()

    with ThreadPoolExecutor(len(steps)) as threads:
        list(threads.map(do, steps))
    for writer, _ in legs:
        # Arrow prints to standard error what fails when it closes a stream by itself.
        with suppress(pa.ArrowException):
            writer.close()
    for error in failures[:1]:
        if isinstance(error, pa.ArrowException):
            raise StageError(f"Flight: {one_line(error)}") from error
        raise error
