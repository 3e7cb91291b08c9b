"""A stage under test: how checks of any kind of stage reach it."""

from __future__ import annotations

import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any, ClassVar, Generic, Literal, TypeAlias

import grpc
from google.protobuf.message import Message

from pipeline.stages import Output
from pipeline.transport import wire
from pipeline.v1.pipeline_pb2 import Batch
from pipeline.workload import Workload
from pytest_pipeline.conformance.checked_call import CheckedCall, Reply
from pytest_pipeline.conformance.declaration import Declaration
from pytest_pipeline.conformance.errors import HarnessFaultError, Violation
from pytest_pipeline.records.samples import sample
from pytest_pipeline.records.streams import Stream
from pytest_pipeline.servers.handle import Server

#: What a stage is checked as. Every stage between ingest and the sink is a transform.
Kind = Literal["ingest", "transform", "sink"]

#: Options of a channel with the smallest receive window, so that what is not read piles
#: up in the stage.
NARROW = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 16 * 1024))

# How often to remove a folder that is still written to, and the seconds between.
_REMOVALS = 100
_REMOVAL_S = 0.01


class StageUnderTest(ABC, Generic[Reply]):
    """A stage that is checked against the contract; one subclass for each kind.

    Args:
        server: the server of the stage.
        workload: the workload that it is checked with.
        name: the name of the stage in that workload.
        declaration: what the stage declares; nothing by default.
        timeout_s: seconds that the stage may take to answer.
        data: the input of a workload that reads one.

    Example::

        stage = TransformUnderTest(server, workload_named("events"), "parse")
        verdict = judge(CHECKS["transform"]["reply.one-each"], stage)
    """

    kind: ClassVar[Kind]
    #: The full name of the gRPC service.
    service: ClassVar[str]
    #: The path of its RPC.
    method: ClassVar[str]
    #: See `CheckedCall`.
    most_replies: ClassVar[int]
    reply_type: type[Reply]

    def __init__(
        self,
        server: Server,
        workload: Workload,
        name: str,
        *,
        declaration: Declaration | None = None,
        timeout_s: float = 10.0,
        data: bytes | None = None,
    ) -> None:
        self.server = server
        self.workload = workload
        self.name = name
        self.declaration = declaration or Declaration()
        self.timeout_s = timeout_s
        self.data = data

    @abstractmethod
    async def work_around(self, midway: Callable[[], Awaitable[None]]) -> str:
        """Work in one stream, and await ``midway`` in the middle.

        Returns:
            What is wrong with the work, as the rest of a sentence about the stage; ""
            if it is whole.
        """

    @abstractmethod
    async def check_serving(self) -> None:
        """Raise Violation unless the stage serves a new stream."""

    @cached_property
    def sample(self) -> Stream:
        """The sample records of the workload."""
        return sample(self.workload, self.data)

    @property
    def serves_workload(self) -> bool:
        """Whether the declaration names the workload, or names none at all."""
        workloads = self.declaration.workloads
        return workloads is None or self.workload.name in workloads

    @property
    def folder(self) -> Path | None:
        """The folder of this machine whose files the server serves; None if unknown."""
        return self.declaration.folder or self.server.folder

    @property
    def served(self) -> Path:
        """The real path of `folder`, for checks that need one."""
        if self.folder is None:
            raise HarnessFaultError(f"stage {self.name} was told no folder")
        return self.folder.resolve()

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Make an empty folder in the folder of the server; remove it at the end."""
        folder = Path(mkdtemp(prefix="conformance-", dir=self.served))
        try:
            yield folder
        finally:
            _remove(folder)

    @contextmanager
    def outside(self) -> Iterator[Path]:
        """Make an empty folder that the server must not touch; remove it at the end.

        If it can be, it stands beside the folder of the server and its path begins with
        the same characters.
        """
        served = self.served
        beside = os.access(served.parent, os.W_OK) and served != served.parent
        with TemporaryDirectory(
            prefix=f"{served.name}-outside-", dir=served.parent if beside else None
        ) as folder:
            if Path(folder).resolve().is_relative_to(served):
                raise HarnessFaultError(f"nothing is outside the folder {served}")
            yield Path(folder)

    @asynccontextmanager
    async def call(
        self, *, deadline_s: float | None = None, options: Sequence[Any] = ()
    ) -> AsyncIterator[CheckedCall[Reply]]:
        """Open a call on a channel of its own, and end it with the context."""
        async with self.server.aio_channel(options) as channel:
            call = self.open(channel, deadline_s)
            try:
                yield call
            finally:
                await call.give_up()

    def open(
        self, channel: grpc.aio.Channel, deadline_s: float | None = None
    ) -> CheckedCall[Reply]:
        """Open a call on a channel; the caller must `give_up` the call."""
        opened: Any = channel.stream_stream(self.method)
        return CheckedCall(
            self.server,
            opened(timeout=deadline_s),
            self.reply_type,
            self.timeout_s,
            self.most_replies,
        )


def _remove(folder: Path) -> None:
    """Remove a folder into which a call that was cancelled may still write."""
    for _ in range(_REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(_REMOVAL_S)


#: A stage of any kind.
AnyStage: TypeAlias = StageUnderTest[Any]


def content_of(batch: Batch, wanted: type[Message], what: str) -> Output[Any]:
    """Decode a batch that a stage sent.

    Args:
        batch: the batch.
        wanted: the message type that the next stage takes.
        what: names the batch in errors.

    Raises:
        Violation: the payload is not for the next stage.
    """
    try:
        message = wire.unpack(batch.payload, wanted)
    except wire.PayloadError as error:
        raise Violation(f"the payload of {what}: the next stage {error}") from None
    # A stage that implements a later contract may send more fields.
    message.DiscardUnknownFields()
    return Output(
        message,
        records=batch.records,
        filtered=batch.filtered,
        rejections=batch.rejections,
    )
