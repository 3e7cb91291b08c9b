"""Stages and servicers for the driver."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import grpc

from pipeline.stages import Output, Stage
from pipeline.v1.lines_pb2 import Lines
from pipeline.v1.pipeline_pb2 import Batch
from pipeline.workloads.events import EVENTS

PARSE = EVENTS.transform("parse")
NOTHING = Lines()


def stage_that(does: Callable[[], object]) -> Stage[Lines, Lines]:
    """Make a stage that calls ``does`` and returns the one record it was sent."""

    def function(lines: Lines) -> Output[Lines]:
        does()
        return Output(lines, records=1)

    return Stage("relay", Lines, Lines, function)


class Serves:
    """A servicer made of a function."""

    def __init__(self, process: Callable[[Iterator[Batch], Any], Any]) -> None:
        self._process = process

    def Process(  # noqa: N802 - named by the contract
        self, requests: Iterator[Batch], context: Any
    ) -> Iterable[Batch]:
        """Call the function."""
        replies: Iterable[Batch] = self._process(requests, context)
        return replies


def with_a_reader_thread(requests: Iterator[Batch], context: Any) -> Iterator[Batch]:
    """Reply to batches that another thread reads; refuse clients without a greeting."""
    if ("greeting", "hello") not in context.invocation_metadata():
        context.set_trailing_metadata((("wanted", "hello"),))
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "say hello")
    inbox: queue.Queue[Batch | None] = queue.Queue()

    def read() -> None:
        for request in requests:
            inbox.put(request)
        inbox.put(None)

    reader = threading.Thread(target=read)
    reader.start()
    while request := inbox.get():
        yield Batch(number=request.number, filtered=request.records)
    reader.join()
