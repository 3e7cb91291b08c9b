"""The gRPC servicers of a source, a transform stage and a sink.

They are ordinary servicers over `Batch` messages: a server can host them, and
grpcio-testing can drive them without a socket. They do not depend on the workload's
payload. An error ends the call with a status and one line of details; a function that
raises is logged with its traceback, too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import grpc
from google.protobuf.message import Message

from pipeline.batching import BatchLimits
from pipeline.clock import Lap, LapTimer, ProcessClock, Stopwatch, peak_rss_bytes
from pipeline.errors import (
    ConservationError,
    PipelineError,
    Place,
    SinkError,
    SourceError,
    UsageError,
    raised,
    user_traceback,
    without_controls,
)
from pipeline.position import read_from
from pipeline.result import ResultWriter
from pipeline.stages import Output, Stage, check_output
from pipeline.transport.credits import Credits
from pipeline.transport.disclosure import Disclosure
from pipeline.transport.folders import ServedFolders
from pipeline.transport.wire import (
    TIMING_KEY,
    TRACEBACK_KEY,
    PayloadError,
    pack,
    unpack,
)
from pipeline.v1.pipeline_pb2 import (
    Batch,
    ReadRequest,
    Timing,
    WriteRequest,
    WriteSummary,
)
from pipeline.workload import Workload

_log = logging.getLogger(__name__)

_NO_TIME = Lap(0, 0)
_MAX_TRACEBACK_BYTES = 16 * 1024


class StageServicer:
    """Serves a transform stage: `Stage.Process` of the contract.

    Args:
        stage: The stage.
        new_stopwatch: Makes the stopwatch that measures one call.
        disclosure: Who is told what the function raised.
    """

    def __init__(
        self,
        stage: Stage[Any, Any],
        new_stopwatch: Callable[[], LapTimer] = Stopwatch,
        disclosure: Disclosure | None = None,
    ) -> None:
        self._stage = stage
        self._disclosure = disclosure or Disclosure()
        self._new_stopwatch = new_stopwatch

    def Process(  # noqa: N802 - named by the contract
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Answer each batch with one batch of the same number."""
        __tracebackhide__ = True
        stage = self._stage
        cpu, watch, send = ProcessClock(), self._new_stopwatch(), _NO_TIME
        for request in requests:
            wait = watch.lap()
            try:
                message = unpack(request.payload, stage.takes)
                decode = watch.lap()
                output = stage(message)
                process = watch.lap()
                reply = _batch(request.number, output)
                encode = watch.lap()
            except Exception as error:
                _fail(context, error, _place(request), self._disclosure)
            _time(reply.timing, wait, decode, process, encode, send)
            reply.timing.process_total_cpu_ns = cpu.lap()
            yield reply
            send = watch.lap()
        _send_last_timing(context, cpu, wait=watch.lap(), send=send)


class IngestServicer:
    """Serves a source: `Ingest.Read` of the contract."""

    def __init__(
        self,
        workload: Workload,
        folders: ServedFolders,
        credits_: Credits | None = None,
        disclosure: Disclosure | None = None,
    ) -> None:
        self._disclosure = disclosure or Disclosure()
        self._workload = workload
        self._folders = folders
        self._credits = credits_ or Credits()

    def Read(  # noqa: N802 - named by the contract
        self, request: ReadRequest, context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Send the records that the request names, as numbered batches."""
        __tracebackhide__ = True
        place = Place()
        try:
            limits = BatchLimits(
                request.batch_records,
                request.batch_bytes,
                request.linger_ns / 1e9 or None,
            )
            if not request.run:
                yield from self._read(request, context, place, limits, lambda: None)
                return
            with self._credits.of(request.run) as credit:
                # A call that is cancelled must not wait for credit.
                context.add_callback(credit.end)
                yield from self._read(
                    request, context, place, credit.limits, credit.take
                )
        except Exception as error:
            _fail(context, error, place, self._disclosure)

    def _read(
        self,
        request: ReadRequest,
        context: grpc.ServicerContext,
        place: Place,
        limits: BatchLimits,
        take_credit: Callable[[], None],
    ) -> Iterator[Batch]:
        """Yield the batches of a request; keep ``place`` at the one that is checked."""
        __tracebackhide__ = True
        source, position = self._workload.source, request.position
        next_record = position.records + 1
        inputs = self._folders.inputs(
            context.is_active,
            # Whoever has started this server, and nobody else.
            may_open_urls=self._disclosure.tells(context.invocation_metadata()),
        )
        spec = unpack(request.source, source.spec)
        take_credit()
        cpu, watch, send = ProcessClock(), Stopwatch(), _NO_TIME
        outputs = read_from(position, source, spec, limits, request.max_records, inputs)
        for number, output in enumerate(outputs, position.batches):
            wait, process = _split(watch.lap(), inputs.take_waited_ns())
            place.batch, place.first_record = number, next_record
            check_output(output, source.returns)
            batch = _batch(number, output)
            next_record += output.records + output.filtered + len(output.rejections)
            encode = watch.lap()
            _time(batch.timing, wait, _NO_TIME, process, encode, send)
            batch.timing.process_total_cpu_ns = cpu.lap()
            yield batch
            take_credit()
            send = watch.lap()
            place.batch = None
        _send_last_timing(context, cpu, wait=watch.lap(), send=send)


class SinkServicer:
    """Serves the end of a run: `Sink.Write` of the contract."""

    def __init__(
        self,
        workload: Workload,
        folders: ServedFolders,
        disclosure: Disclosure | None = None,
    ) -> None:
        self._disclosure = disclosure or Disclosure()
        self._workload = workload
        self._folders = folders

    def Write(  # noqa: N802 - named by the contract
        self, requests: Iterator[WriteRequest], context: grpc.ServicerContext
    ) -> WriteSummary:
        """Fold the batches into the target and publish it on the commit."""
        __tracebackhide__ = True
        place = Place()
        try:
            return self._write(requests, place)
        except Exception as error:
            _fail(context, error, place, self._disclosure)

    def _write(self, requests: Iterator[WriteRequest], place: Place) -> WriteSummary:
        """Fold and publish; keep ``place`` at the batch that is being folded."""
        __tracebackhide__ = True
        cpu, watch, account = ProcessClock(), Stopwatch(), Timing()
        first = next(requests, None)
        if first is None or first.WhichOneof("step") != "target":
            raise PayloadError("takes a target first")
        with self._folders.draft(first.target.path) as draft:
            writer = ResultWriter(self._workload.new_result(), draft)
            for request in requests:
                wait = watch.lap()
                step = request.WhichOneof("step")
                if step == "commit":
                    commit = request.commit
                    size = writer.commit(commit.batches, commit.records)
                    _spend(account, wait, _NO_TIME, watch.lap())
                    account.process_total_cpu_ns = cpu.lap()
                    account.peak_rss_bytes = peak_rss_bytes()
                    return WriteSummary(
                        batches=writer.batches,
                        records=writer.records,
                        result_bytes=size,
                        timing=account,
                    )
                batch = request.batch
                if step != "batch" or batch.number != writer.batches:
                    was_sent = f"batch {batch.number}" if step == "batch" else step
                    raise PayloadError(
                        f"takes batch {writer.batches} next, was sent {was_sent}"
                    )
                place.batch, place.first_record = batch.number, batch.first_record
                message = unpack(batch.payload, self._workload.result_takes)
                decode = watch.lap()
                writer.add(message)
                place.batch = None
                _spend(account, wait, decode, watch.lap())
        raise PayloadError("was sent no commit, so nothing was published")


def _batch(number: int, output: Output[Message]) -> Batch:
    batch = Batch(
        number=number,
        records=output.records,
        filtered=output.filtered,
        rejections=output.rejections,
    )
    pack(output.message, into=batch.payload)
    return batch


def _place(batch: Batch) -> Place:
    return Place(batch=batch.number, first_record=batch.first_record)


def _split(lap: Lap, waited_ns: int) -> tuple[Lap, Lap]:
    """Split a lap into waiting for input and the remaining time."""
    return Lap(waited_ns, 0), Lap(lap.wall - waited_ns, lap.cpu)


def _time(
    timing: Timing, wait: Lap, decode: Lap, process: Lap, encode: Lap, send: Lap
) -> None:
    timing.wait_ns, timing.wait_cpu_ns = wait
    timing.decode_ns, timing.decode_cpu_ns = decode
    timing.process_ns, timing.process_cpu_ns = process
    timing.encode_ns, timing.encode_cpu_ns = encode
    timing.send_ns, timing.send_cpu_ns = send


def _spend(account: Timing, wait: Lap, decode: Lap, process: Lap) -> None:
    account.wait_ns += wait.wall
    account.wait_cpu_ns += wait.cpu
    account.decode_ns += decode.wall
    account.decode_cpu_ns += decode.cpu
    account.process_ns += process.wall
    account.process_cpu_ns += process.cpu


def _send_last_timing(
    context: grpc.ServicerContext, cpu: ProcessClock, wait: Lap, send: Lap
) -> None:
    timing = Timing(peak_rss_bytes=peak_rss_bytes())
    _time(timing, wait, _NO_TIME, _NO_TIME, _NO_TIME, send)
    timing.process_total_cpu_ns = cpu.lap()
    context.set_trailing_metadata(((TIMING_KEY, timing.SerializeToString()),))


def _fail(
    context: grpc.ServicerContext,
    error: Exception,
    place: Place,
    disclosure: Disclosure,
) -> NoReturn:
    """End the call with the status for ``error``, which was raised at ``place``."""
    if isinstance(error, grpc.RpcError):
        raise error  # the client is gone, so no status reaches it
    at = f"{place}: " if str(place) else ""
    if isinstance(error, PayloadError):
        details = without_controls(f"{at}{error}")
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, details)
    if isinstance(error, PipelineError):
        code = _STATUS.get(type(error), grpc.StatusCode.INTERNAL)
        context.abort(code, without_controls(str(error)))
    _log.error("%sfailed", at, exc_info=error)
    if not disclosure.tells(context.invocation_metadata()):
        context.abort(
            grpc.StatusCode.INTERNAL, f"{at}failed; the log of the server says why"
        )
    text = user_traceback(error).encode(errors="replace")
    # Metadata is limited in size, and the end of a traceback is its most useful part.
    context.set_trailing_metadata(((TRACEBACK_KEY, text[-_MAX_TRACEBACK_BYTES:]),))
    context.abort(grpc.StatusCode.INTERNAL, f"{at}{raised(error)}")


_STATUS = {
    UsageError: grpc.StatusCode.INVALID_ARGUMENT,
    SourceError: grpc.StatusCode.FAILED_PRECONDITION,
    SinkError: grpc.StatusCode.FAILED_PRECONDITION,
    ConservationError: grpc.StatusCode.DATA_LOSS,
}
