"""Count the messages and bytes on each leg of a run, in the stage servers.

They are counted where they arrive and not by the orchestrator, because a change may
forget to count a message that it adds there.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias, cast

import grpc
from google.protobuf.message import Message

from pipeline.engines.split import SplitEngine
from pipeline.stages import INGEST, SINK
from pipeline.transport import wire
from pipeline.transport.folders import ServedFolders
from pipeline.transport.processes import new_folder
from pipeline.transport.server import StageServer
from pipeline.v1.pipeline_pb2 import Batch, WriteRequest
from pipeline.workload import Workload
from pipeline.workloads.events.generate import generate_events
from pytest_pipeline.measure.checked_runs import CheckedRuns
from pytest_pipeline.measure.dataset import Dataset, dataset_of

#: Records of a run, if the input has as many. They make more than a hundred batches at
#: batch size 10, and at 10, 100 and 1000 the last batch is not full.
RECORDS = 1234

#: Events before the first malformed one. Instructions are counted with these, since a
#: rejection takes another path through the code.
WELL_FORMED = 100
_MALFORMED_SHARE = 0.05

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


def counted_dataset(
    workload: Workload, folder: Path, data: bytes | None = None
) -> Dataset:
    """Return the dataset that counts are made with, which is the same each time.

    Args:
        workload: Runs on the records.
        folder: Where the input is written, if the workload reads one.
        data: The input. Without it, 1,234 events are generated for the events
            workload; one in twenty is malformed after the first hundred.

    Raises:
        UsageError: The workload reads its records and ``data`` is missing.
    """
    if data is None and workload.name == "events":
        first = generate_events(WELL_FORMED, seed=1, users=100)
        rest = generate_events(
            RECORDS - WELL_FORMED, seed=2, users=100, malformed=_MALFORMED_SHARE
        )
        data = b"".join([*first, *rest])
    return dataset_of(workload, folder, data)


def count_run(dataset: Dataset, batch_size: int) -> dict[str, int]:
    """Run on servers in threads of this process and count what they send and receive.

    Bytes are those of whole messages, except the timing in replies: it is made of
    variable-length integers, which differ between runs. Of the bytes to the sink only
    those of batches count, since the message with the target has a path.

    Args:
        dataset: What to run on; at most 1,234 of its records.
        batch_size: Records of a batch.

    Returns:
        Counts by name: ``records``, and for each stage such as parse
        ``stream writes to parse``, ``bytes to parse``, ``messages from parse`` and
        ``bytes from parse``.

    Raises:
        PipelineError: The run fails, or its result is not that of the monolith.
    """
    workload = dataset.workload
    records = min(RECORDS, dataset.available or RECORDS)
    with ExitStack() as stack:
        folder = new_folder()
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        served = [folder, dataset.path.parent] if dataset.path else [folder]
        tallies = {stage: _Tally() for stage in workload.stage_names}
        addresses = {}
        for stage, tally in tallies.items():
            server = StageServer(
                workload,
                stage,
                f"unix:{folder / stage}",
                ServedFolders(served),
                interceptors=[_CountingInterceptor(tally)],
            )
            stack.callback(server.drain, 0.0)
            addresses[stage] = server.address
        runs = CheckedRuns(dataset, folder)
        runs.run(SplitEngine(addresses), batch_size, records)
        return {"records": records, **_named(tallies)}


def _named(tallies: Mapping[str, _Tally]) -> dict[str, int]:
    counts = {}
    for stage, tally in tallies.items():
        if stage != INGEST:
            counts[f"stream writes to {stage}"] = tally.counts["writes"]
            counts[f"bytes to {stage}"] = tally.counts["bytes to"]
        if stage != SINK:
            counts[f"messages from {stage}"] = tally.counts["messages"]
            counts[f"bytes from {stage}"] = tally.counts["bytes from"]
    return counts


class _Tally:
    """The counts of one server."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        # gRPC reads and writes a stream in different threads.
        self._lock = Lock()

    def received(self, message: Message, size: int) -> None:
        """Count a message of ``size`` bytes that the server received."""
        is_step = isinstance(message, WriteRequest)
        with self._lock:
            self.counts["writes"] += 1
            # Of the steps to the sink, only a batch has the same size in every run.
            if not is_step or message.WhichOneof("step") == "batch":
                self.counts["bytes to"] += size

    def sent(self, message: Message, size: int) -> None:
        """Count a message of ``size`` bytes that the server sent."""
        timing = 0
        if isinstance(message, Batch) and message.HasField("timing"):
            timing = Batch(timing=message.timing).ByteSize()
        with self._lock:
            self.counts["messages"] += 1
            self.counts["bytes from"] += size - timing


class _CountingInterceptor(grpc.ServerInterceptor):
    """Counts the messages of the streams of a server, by wrapping their serializers."""

    def __init__(self, tally: _Tally) -> None:
        self._tally = tally

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wrap the handler of a call."""
        handler = continuation(handler_call_details)
        kind = _KINDS.get(handler_call_details.method)
        if handler is None or kind is None:
            return handler
        tally = self._tally
        # Serializers are optional in gRPC; the handlers of stages set them.
        takes = cast("Callable[[bytes], Message]", handler.request_deserializer)
        gives = cast("Callable[[Message], bytes]", handler.response_serializer)

        def deserialize(raw: bytes) -> Message:
            message = takes(raw)
            tally.received(message, len(raw))
            return message

        def serialize(message: Message) -> bytes:
            raw = gives(message)
            tally.sent(message, len(raw))
            return raw

        make = getattr(grpc, f"{kind}_rpc_method_handler")
        made: Handler = make(getattr(handler, kind), deserialize, serialize)
        return made


_KINDS = {
    wire.READ: "unary_stream",
    wire.PROCESS: "stream_stream",
    wire.WRITE: "stream_unary",
}
