"""A pipe of the queues passes objects in order, and holds a bounded number of bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from threading import Thread

import pytest

from pytest_pipeline.measure.references.pipes import (
    PIPE_BYTES,
    bounded_pipe,
    receiver,
    sender,
)


@pytest.fixture
def ends() -> Iterator[tuple[Connection, Connection]]:
    """The receiving and the sending end of a pipe."""
    receiving, sending = bounded_pipe(get_context("spawn"))
    with receiving, sending:
        yield receiving, sending


def test_batches_and_other_objects_arrive_equal_and_in_order(
    ends: tuple[Connection, Connection],
) -> None:
    """A batch may be larger than the pipe, or have an empty message."""
    objects = [
        (0, 1, 3, b"message", 1, 1, (("parse", b"rejection"),)),
        {"another": "object"},
        (1, 4, 3, b"x" * (3 * PIPE_BYTES), 3, 0, ()),
        (2, 7, 3, b"", 0, 3, ()),
        None,
    ]
    send, receive = sender(ends[1]), receiver(ends[0])

    def send_all() -> None:
        for each in objects:
            send(each)

    thread = Thread(target=send_all)
    thread.start()
    received = [receive() for _ in objects]
    thread.join()

    assert received == objects


def test_a_full_pipe_takes_no_more(ends: tuple[Connection, Connection]) -> None:
    """A sender would wait for room; this one may not wait, so it fails."""
    os.set_blocking(ends[1].fileno(), False)
    send = sender(ends[1])
    batch = (0, 1, 1, bytes(1000), 1, 0, ())

    def fill() -> None:
        for _ in range(PIPE_BYTES // 1000 + 1):
            send(batch)

    with pytest.raises(BlockingIOError):
        fill()


def test_the_end_of_the_pipe_is_an_error(ends: tuple[Connection, Connection]) -> None:
    """What was sent before is received first."""
    receive = receiver(ends[0])
    sender(ends[1])("last")
    ends[1].close()

    assert receive() == "last"
    with pytest.raises(EOFError):
        receive()
