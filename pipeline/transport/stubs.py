"""Clients of the three services of the wire contract, for both kinds of channel."""

from __future__ import annotations

from typing import Any

import grpc

from pipeline.stages import INGEST, SINK
from pipeline.transport import wire
from pipeline.v1.pipeline_pb2 import Batch, ReadRequest, WriteRequest, WriteSummary


class IngestStub:
    """Calls `Ingest.Read`: one request, answered by a stream of batches."""

    def __init__(self, channel: grpc.Channel | grpc.aio.Channel) -> None:
        self.Read: Any = channel.unary_stream(
            wire.READ,
            request_serializer=ReadRequest.SerializeToString,
            response_deserializer=Batch.FromString,
        )


class StageStub:
    """Calls `Stage.Process`: a stream of batches, each answered by one."""

    def __init__(self, channel: grpc.Channel | grpc.aio.Channel) -> None:
        self.Process: Any = channel.stream_stream(
            wire.PROCESS,
            request_serializer=Batch.SerializeToString,
            response_deserializer=Batch.FromString,
        )


class SinkStub:
    """Calls `Sink.Write`: a stream of steps, answered by a summary."""

    def __init__(self, channel: grpc.Channel | grpc.aio.Channel) -> None:
        self.Write: Any = channel.stream_unary(
            wire.WRITE,
            request_serializer=WriteRequest.SerializeToString,
            response_deserializer=WriteSummary.FromString,
        )


def stub_type(stage: str) -> type[IngestStub | StageStub | SinkStub]:
    """Return the client for the stage of that name: ingest, sink or a transform."""
    if stage == INGEST:
        return IngestStub
    return SinkStub if stage == SINK else StageStub
