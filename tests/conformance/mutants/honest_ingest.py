"""The honest ingest, in small steps that mutants override."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import grpc
from google.protobuf.message import Message

from pipeline.batching import BatchLimits
from pipeline.errors import SourceError, UsageError
from pipeline.source import Opener
from pipeline.stages import Output
from pipeline.transport import wire
from pipeline.transport.folders import ServedFolders
from pipeline.transport.wire import PayloadError, pack, unpack
from pipeline.v1.pipeline_pb2 import Batch, ReadRequest
from tests.conformance.mutants.honest import HonestServer


def add_ingest(servicer: Any, server: Any) -> None:
    """Add `Ingest.Read`."""
    handler = grpc.unary_stream_rpc_method_handler(
        servicer.Read,
        request_deserializer=ReadRequest.FromString,
        response_serializer=Batch.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(wire.INGEST_SERVICE, {"Read": handler}),)
    )


class HonestIngest(HonestServer):
    """An ingest of a workload that keeps the contract."""

    stage = "ingest"
    add_to_server = staticmethod(add_ingest)
    #: The status for a source that can't be read.
    unreadable: ClassVar[grpc.StatusCode] = grpc.StatusCode.FAILED_PRECONDITION

    def Read(
        self, request: ReadRequest, context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Send the batches of the source."""
        try:
            outputs = self.outputs(request, self.inputs(context))
            for number, output in enumerate(outputs):
                yield self.reply(number, output)
        except (PayloadError, UsageError) as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except SourceError as error:
            context.abort(self.unreadable, str(error))

    def outputs(self, request: ReadRequest, inputs: Opener) -> Iterator[Output[Any]]:
        """Yield the batches of the source."""
        source = self.decode(request)
        yield from self.work.source.read(
            source, self.limits(request), self.most(request), inputs
        )

    def decode(self, request: ReadRequest) -> Message:
        """Decode the source; raise PayloadError if it can't be."""
        source: Message = unpack(request.source, self.work.source.spec)
        return source

    def limits(self, request: ReadRequest) -> BatchLimits:
        """Return the limits of a batch; raise UsageError if one is wrong."""
        linger_s = request.linger_ns / 1e9 or None
        return BatchLimits(request.batch_records, request.batch_bytes, linger_s)

    def most(self, request: ReadRequest) -> int:
        """Return how many records to read; 0 for all."""
        return request.max_records

    def inputs(self, context: grpc.ServicerContext) -> Opener:
        """Return what opens files."""
        return self.folders().inputs(context.is_active)

    def folders(self) -> ServedFolders:
        """Return the folders that are served."""
        return ServedFolders([self.folder])

    def reply(self, number: int, output: Output[Any]) -> Batch:
        """Make the batch to send."""
        batch = Batch(
            number=number,
            records=output.records,
            filtered=output.filtered,
            rejections=output.rejections,
        )
        pack(output.message, into=batch.payload)
        return batch
