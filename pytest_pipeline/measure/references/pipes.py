"""Bounded queues of batches between two processes: pipes.

A pipe is bounded in bytes by the kernel, so a sender waits for a slow receiver. With
one sender and one receiver it needs neither the locks nor the feeder thread of
`multiprocessing.Queue`.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import struct
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext
from typing import Any, TypeAlias

#: The bytes that a pipe holds on Linux, which allows every user this many. With the
#: default of 64 KiB, a batch of 1,000 events stops its sender until it is received.
PIPE_BYTES = 1024 * 1024

#: A batch in a queue: its number, its first record, how many records ingest put into
#: it, its message, how many records that has, and how many the stages have filtered;
#: then the rejections so far, each with the name of its stage. Messages are serialised.
QueuedBatch: TypeAlias = tuple[
    int, int, int, bytes, int, int, tuple[tuple[str, bytes], ...]
]

# The numbers of a batch, the length of its message, and that of what is pickled. The
# number of a batch is -1 before another object.
_HEADER = struct.Struct("<7q")
_NO_BATCH = -1, 0, 0, 0, 0, 0
# A read returns as many small batches as are there, up to this many bytes.
_READ_BYTES = 64 * 1024


def bounded_pipe(context: SpawnContext) -> tuple[Connection, Connection]:
    """Return the receiving and the sending end of a new pipe."""
    receiving, sending = context.Pipe(duplex=False)
    if set_size := getattr(fcntl, "F_SETPIPE_SZ", None):
        # An administrator may allow less; the pipe then holds 64 KiB, as on macOS.
        with suppress(OSError):
            fcntl.fcntl(sending.fileno(), set_size, PIPE_BYTES)
    return receiving, sending


def sender(end: Connection) -> Callable[[Any], None]:
    """Return a function that sends an object, and waits while the pipe is full.

    A tuple is sent as a `QueuedBatch`, without pickling it: that alone would make the
    queues a tenth slower at batch size 1. Anything else is pickled.
    """
    descriptor, write, pack, dumps = end.fileno(), os.write, _HEADER.pack, pickle.dumps

    def send(item: object) -> None:
        if type(item) is tuple:
            number, first, ingested, message, records, filtered, rejections = item
            pickled = dumps(rejections) if rejections else b""
            data = pack(
                number, first, ingested, records, filtered, len(message), len(pickled)
            )
            data += message + pickled
        else:
            pickled = dumps(item)
            data = pack(*_NO_BATCH, len(pickled)) + pickled
        written = write(descriptor, data)
        while written < len(data):
            written += write(descriptor, memoryview(data)[written:])

    return send


def receiver(end: Connection) -> Callable[[], Any]:
    """Return a function that waits for the next object and returns it.

    It reads ahead, so only one function may receive from an end. It raises EOFError at
    the end of the pipe.
    """
    file = open(end.fileno(), "rb", buffering=_READ_BYTES, closefd=False)  # noqa: SIM115
    read, unpack, loads = file.read, _HEADER.unpack, pickle.loads

    def receive() -> Any:
        if not (header := read(_HEADER.size)):
            raise EOFError
        number, first, ingested, records, filtered, length, pickled = unpack(header)
        if number < 0:
            return loads(read(pickled))
        message = read(length)
        rejections = loads(read(pickled)) if pickled else ()
        return number, first, ingested, message, records, filtered, rejections

    return receive
