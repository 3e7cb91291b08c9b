"""The command that starts the stage in Node, and batches to send to it."""

from __future__ import annotations

from typing import Any

from pipeline.transport.wire import pack
from pipeline.v1.events_pb2 import EVENT_TYPE_CLICK, Events
from pipeline.v1.pipeline_pb2 import Batch
from tests.node import EXAMPLE, NODE

COMMAND = [NODE, str(EXAMPLE / "rules.mjs")]


def batch_of(number: int, message: Any, records: int = 0, **fields: Any) -> Batch:
    """Put a message into a batch."""
    batch = Batch(number=number, records=records, **fields)
    pack(message, into=batch.payload)
    return batch


ONE = Events(ts=["t"], type=[EVENT_TYPE_CLICK], user=["u"], value=[10])
