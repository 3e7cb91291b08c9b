"""The honest transform stage, in small steps that mutants override."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import grpc
from google.protobuf.message import Message

from pipeline.stages import Output
from pipeline.transport.wire import PayloadError, pack, unpack
from pipeline.v1.pipeline_pb2 import Batch
from pipeline.workload import Workload
from pipeline.workloads import workload_named
from pytest_pipeline.conformance.declaration import Declaration
from pytest_pipeline.servers.servicers import add_stage


class HonestServer:
    """A servicer of a stage, of any kind."""

    workload: ClassVar[str] = "events"
    stage: ClassVar[str]
    #: The ids of the checks that must fail this mutant.
    caught_by: ClassVar[tuple[str, ...]] = ()
    declaration: ClassVar[Declaration] = Declaration()
    #: The folder that an ingest or a sink serves; set before it is served.
    folder: Path

    def __init__(self) -> None:
        #: Set at the end of the test, to release mutants that wait for it.
        self.is_over = threading.Event()

    @property
    def work(self) -> Workload:
        """The workload itself."""
        return workload_named(self.workload)

    @staticmethod
    def add_to_server(servicer: Any, server: Any) -> None:
        """Add the servicer to a server."""
        raise NotImplementedError


class Honest(HonestServer):
    """A transform stage of a workload that keeps the contract."""

    stage = "parse"
    add_to_server = staticmethod(add_stage)

    def __init__(self) -> None:
        super().__init__()
        self.function = self.work.transform(self.stage)

    def Process(
        self, requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        """Answer each batch."""
        for request in requests:
            yield self.answer(request, context)

    def answer(self, request: Batch, context: grpc.ServicerContext) -> Batch:
        """Return the reply to a batch, or refuse it."""
        return self.reply(request, self.apply(self.decode(request, context)))

    def decode(self, request: Batch, context: grpc.ServicerContext) -> Message:
        """Decode the payload, or refuse it."""
        try:
            message: Message = unpack(request.payload, self.function.takes)
        except PayloadError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return message

    def apply(self, message: Any) -> Output[Any]:
        """Apply the stage function."""
        return self.function(message)

    def reply(self, request: Batch, output: Output[Any]) -> Batch:
        """Make the reply."""
        batch = Batch(
            number=request.number,
            records=output.records,
            filtered=output.filtered,
            rejections=output.rejections,
        )
        pack(output.message, into=batch.payload)
        return batch

    def wait_for_the_end_of(self, context: grpc.ServicerContext) -> None:
        """Wait until the client ends the call."""
        given_up = threading.Event()
        if context.add_callback(given_up.set):
            given_up.wait()
