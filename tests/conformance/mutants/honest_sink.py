"""The honest sink, in small steps that mutants override."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import grpc
from google.protobuf.message import Message

from pipeline.accumulator import Accumulator
from pipeline.errors import ConservationError, SinkError
from pipeline.publishing import Draft
from pipeline.transport import wire
from pipeline.transport.folders import ServedFolders
from pipeline.transport.wire import PayloadError, unpack
from pipeline.v1.pipeline_pb2 import Batch, Commit, WriteRequest, WriteSummary
from tests.conformance.mutants.honest import HonestServer


def add_sink(servicer: Any, server: Any) -> None:
    """Add `Sink.Write`."""
    handler = grpc.stream_unary_rpc_method_handler(
        servicer.Write,
        request_deserializer=WriteRequest.FromString,
        response_serializer=WriteSummary.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(wire.SINK_SERVICE, {"Write": handler}),)
    )


class HonestSink(HonestServer):
    """A sink of a workload that keeps the contract."""

    stage = "sink"
    add_to_server = staticmethod(add_sink)
    #: The status for a target that can't be written.
    unwritable: ClassVar[grpc.StatusCode] = grpc.StatusCode.FAILED_PRECONDITION

    def Write(
        self, requests: Iterator[WriteRequest], context: grpc.ServicerContext
    ) -> WriteSummary:
        """Write the result, or refuse it."""
        try:
            with self.draft(self.target(requests)) as draft:
                return self.fold(requests, draft)
        except PayloadError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except ConservationError as error:
            context.abort(grpc.StatusCode.DATA_LOSS, str(error))
        except SinkError as error:
            context.abort(self.unwritable, str(error))

    def target(self, requests: Iterator[WriteRequest]) -> str:
        """Return the path of the target; raise PayloadError if it is not first."""
        first = next(requests, None)
        if first is None or first.WhichOneof("step") != "target":
            raise PayloadError("takes a target first")
        return first.target.path

    def draft(self, path: str) -> Draft:
        """Start the draft of the result; raise SinkError if it can't be written."""
        return self.folders().draft(path)

    def place(self, path: str) -> Path:
        """Return where the result goes; raise SinkError if it can't be written."""
        with self.folders().draft(path) as draft:
            return draft.path

    def folders(self) -> ServedFolders:
        """Return the folders that are served."""
        return ServedFolders([self.folder])

    def fold(self, requests: Iterator[WriteRequest], draft: Draft) -> WriteSummary:
        """Fold the batches into the draft, and publish it on the commit."""
        result, batches = self.new_result(), 0
        for request in requests:
            if request.WhichOneof("step") == "commit":
                self.check_commit(request.commit, batches, result.records)
                return self.publish(result, batches, draft)
            self.check_next(request, batches)
            draft.write(self.add(result, request.batch))
            batches += 1
        return self.without_commit(result, batches, draft)

    def new_result(self) -> Accumulator[Any]:
        """Make the accumulator of a run."""
        return self.work.new_result()

    def check_next(self, request: WriteRequest, batches: int) -> None:
        """Raise PayloadError unless a request is the next batch."""
        if request.WhichOneof("step") != "batch" or request.batch.number != batches:
            raise PayloadError(f"takes batch {batches} next")

    def add(self, result: Accumulator[Any], batch: Batch) -> bytes:
        """Add a batch; return the bytes to write."""
        return result.add(self.decode(batch))

    def decode(self, batch: Batch) -> Message:
        """Decode a payload; raise PayloadError if it can't be."""
        message: Message = unpack(batch.payload, self.work.result_takes)
        return message

    def check_commit(self, commit: Commit, batches: int, records: int) -> None:
        """Raise ConservationError unless the commit has these counts."""
        if (commit.batches, commit.records) != (batches, records):
            raise ConservationError("the commit has other counts")

    def publish(
        self, result: Accumulator[Any], batches: int, draft: Draft
    ) -> WriteSummary:
        """Publish the draft."""
        draft.write(result.finish())
        draft.publish()
        return WriteSummary(
            batches=batches, records=result.records, result_bytes=draft.size
        )

    def without_commit(
        self, result: Accumulator[Any], batches: int, draft: Draft
    ) -> WriteSummary:
        """Refuse a stream that ends without a commit."""
        del result, batches, draft
        raise PayloadError("was sent no commit")
