"""What crosses each leg of a run: counted in the stage servers, where it arrives.

The orchestrator has an account of its own, and a change to it may forget to keep that;
whatever it has written reaches a server.
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

#: Records of a run, where the input has as many: enough for more than a hundred batches
#: at batch size 10, and the last batch of 10, 100 or 1000 is not full.
RECORDS = 1234

#: Events before the first that is to be refused: what is refused takes other ways, and
#: instructions are counted of the ordinary one.
FINE = 100
_SPOILT = 0.05

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


def counted_dataset(
    workload: Workload, folder: Path, data: bytes | None = None
) -> Dataset:
    """Return the records that are counted with, the same each time.

    ``data`` is the input of a workload that reads one; of the events workload some are
    made, after the first hundred one in twenty to be refused. Raises UsageError where
    data is missing.
    """
    if data is None and workload.name == "events":
        fine = generate_events(FINE, seed=1, users=100)
        rest = generate_events(RECORDS - FINE, seed=2, users=100, malformed=_SPOILT)
        data = b"".join([*fine, *rest])
    return dataset_of(workload, folder, data)


def count_run(dataset: Dataset, batch_size: int) -> dict[str, int]:
    """Run on servers in threads of this process; return what crossed, by its name.

    Bytes are of whole messages, but for the timing in replies: that is numbers of
    variable length, and no two runs have the same. To the sink they are those of the
    batches, since the target is a path. Raises PipelineError where the run fails, or
    its result is not that of the monolith.
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
                interceptors=[_Counting(tally)],
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
    """What one server was sent, and has sent."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        # gRPC reads for a stream in a thread of its own.
        self._lock = Lock()

    def took(self, message: Message, size: int) -> None:
        """Count a message that came to the server in ``size`` bytes."""
        is_step = isinstance(message, WriteRequest)
        with self._lock:
            self.counts["writes"] += 1
            # Of the steps to the sink, only a batch has as many bytes each time.
            if not is_step or message.WhichOneof("step") == "batch":
                self.counts["bytes to"] += size

    def gave(self, message: Message, size: int) -> None:
        """Count a message that the server sent in ``size`` bytes."""
        timing = 0
        if isinstance(message, Batch) and message.HasField("timing"):
            timing = Batch(timing=message.timing).ByteSize()
        with self._lock:
            self.counts["messages"] += 1
            self.counts["bytes from"] += size - timing


class _Counting(grpc.ServerInterceptor):
    """Has what crosses the streams of a server counted, as bytes and as messages."""

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
        # A handler need not have them; those of the stages do.
        takes = cast("Callable[[bytes], Message]", handler.request_deserializer)
        gives = cast("Callable[[Message], bytes]", handler.response_serializer)

        def deserialize(raw: bytes) -> Message:
            message = takes(raw)
            tally.took(message, len(raw))
            return message

        def serialize(message: Message) -> bytes:
            raw = gives(message)
            tally.gave(message, len(raw))
            return raw

        make = getattr(grpc, f"{kind}_rpc_method_handler")
        made: Handler = make(getattr(handler, kind), deserialize, serialize)
        return made


_KINDS = {
    wire.READ: "unary_stream",
    wire.PROCESS: "stream_stream",
    wire.WRITE: "stream_unary",
}
