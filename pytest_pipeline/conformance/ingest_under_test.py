"""An ingest under test, and the sources that it is told to read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cached_property
from inspect import signature
from pathlib import Path
from typing import Any, Literal

import grpc
from google.protobuf.message import Message

from pipeline.batching import (
    DEFAULT_BATCH_BYTES,
    DEFAULT_BATCH_RECORDS,
    BatchLimits,
)
from pipeline.inputs import Inputs
from pipeline.stages import Output
from pipeline.transport import wire
from pipeline.v1.lines_pb2 import LineSource
from pipeline.v1.pipeline_pb2 import Batch, ReadRequest
from pytest_pipeline.conformance.checked_call import CheckedCall, EndedCall
from pytest_pipeline.conformance.errors import Violation
from pytest_pipeline.conformance.stage_under_test import (
    NARROW,
    StageUnderTest,
    content_of,
)
from pytest_pipeline.records.samples import RECORDS

#: How many records a source has.
Length = Literal["empty", "sample", "long"]

# Far more than gRPC and the system hold between a server and a client.
_LONG_BYTES = 2 * 1024 * 1024


class IngestUnderTest(StageUnderTest[Batch]):
    """An ingest that is checked against the contract.

    It must send what the source of the workload yields in this process.
    """

    kind = "ingest"
    service = wire.INGEST_SERVICE
    method = wire.READ
    most_replies = 100_000  # a long source has fewer records
    reply_type = Batch

    @property
    def reads_file(self) -> bool:
        """Whether the source reads the file at a path."""
        return "path" in self._options

    @property
    def reads_lines(self) -> bool:
        """Whether the source is `LINES`, which reads pipes as well."""
        return self.workload.source.spec is LineSource

    @property
    def is_sized(self) -> bool:
        """Whether the source makes as many records as it is told."""
        return "records" in self._options

    @cached_property
    def _options(self) -> frozenset[str]:
        return frozenset(signature(self.workload.source.describe).parameters)

    @cached_property
    def content(self) -> bytes:
        """The bytes of a file that holds the sample records."""
        if self.data is not None:
            return self.data
        payloads: Sequence[Any] = self.sample.payloads
        return b"".join(payload.text for payload in payloads)

    def describe(self, path: Path | str) -> Message:
        """Describe the source that reads a file."""
        described: Message = self.workload.source.describe(path=path)
        return described

    @contextmanager
    def source(self, length: Length = "sample") -> Iterator[Message]:
        """Describe a source of the sample records, in a new file if it reads one.

        A source of any other length is one of the workload's own if it can't be told.
        """
        if self.reads_file:
            with self.file(self._content(length)) as path:
                yield self.describe(path)
        elif self.is_sized:
            yield self.workload.source.describe(records=self._records(length))
        else:
            yield self.workload.source.describe()

    @contextmanager
    def file(self, content: bytes) -> Iterator[Path]:
        """Write a file into the folder of the server; remove it at the end."""
        with self.scratch() as folder:
            path = folder / "records"
            path.write_bytes(content)
            yield path

    def _content(self, length: Length) -> bytes:
        if length == "empty":
            return b""
        if length == "long" and self.reads_lines:
            return self.content * (_LONG_BYTES // len(self.content) + 1)
        return self.content

    def _records(self, length: Length) -> int:
        if length == "empty":
            return 0
        if length == "sample":
            return RECORDS
        sample_bytes = sum(payload.ByteSize() for payload in self.sample.payloads)
        return _LONG_BYTES * len(self.sample) // sample_bytes

    def request(self, source: Message, **limits: int) -> ReadRequest:
        """Return the request for a source; ``limits`` are fields of the request."""
        request = ReadRequest(
            batch_records=DEFAULT_BATCH_RECORDS, batch_bytes=DEFAULT_BATCH_BYTES
        )
        for name, value in limits.items():
            setattr(request, name, value)
        wire.pack(source, into=request.source)
        return request

    def expected(self, source: Message, **limits: int) -> list[Output[Any]]:
        """Return the batches that the source of the workload yields here."""
        request = self.request(source, **limits)
        return list(
            self.workload.source.read(
                source,
                BatchLimits(request.batch_records, request.batch_bytes),
                request.max_records,
                Inputs(),
            )
        )

    @asynccontextmanager
    async def reading(
        self, request: ReadRequest | bytes, options: Sequence[Any] = ()
    ) -> AsyncIterator[CheckedCall[Batch]]:
        """Open a call, and send the request."""
        async with self.call(options=options) as call:
            call.start_to_send([request])
            yield call

    async def read(self, request: ReadRequest | bytes) -> EndedCall[Batch]:
        """Send a request, and read to the end of the stream."""
        async with self.reading(request) as call:
            return await call.rest()

    async def read_well(self, request: ReadRequest | bytes) -> list[Batch]:
        """Return the batches of `read`; raise Violation unless it ends with OK."""
        ended = await self.read(request)
        if ended.code is not grpc.StatusCode.OK:
            raise Violation(
                f"it sent {len(ended.replies)} batches, and then the stream ended with "
                f"{ended.status}"
            )
        return ended.replies

    def content_of(self, batch: Batch) -> Output[Any]:
        """Decode a batch; raise Violation unless it is for the first transform."""
        what = f"batch {batch.number}"
        return content_of(batch, self.workload.source.returns, what)

    async def work_around(self, midway: Callable[[], Awaitable[None]]) -> str:
        """Read the first batch of a long source before, and the others after."""
        with self.source("long") as source:
            request = self.request(source, batch_records=100)
            async with self.reading(request, NARROW) as call:
                await call.receive()
                await midway()
                ended = await call.rest()
            wanted = sum(map(records_in, self.expected(source)))
        found = sum(map(records_in, ended.replies))
        if ended.code is grpc.StatusCode.OK and found == wanted:
            return ""
        return (
            f"it sent {found:,} of {wanted:,} records and ended the stream with "
            f"{ended.status}"
        )

    async def check_serving(self) -> None:
        """Raise Violation unless a new stream brings all records."""
        with self.source() as source:
            batches = await self.read_well(self.request(source))
            wanted = sum(map(records_in, self.expected(source)))
        found = sum(map(records_in, batches))
        if found != wanted:
            raise Violation(f"a new stream brought {found} of {wanted} records")


def records_in(batch: Batch | Output[Any]) -> int:
    """Return how many records of the source a batch stands for."""
    return batch.records + batch.filtered + len(batch.rejections)
