"""The driver raises if a servicer or a test misbehaves; it never hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from pipeline.errors import ContractError, StageError, UsageError
from pipeline.transport.wire import unpack
from pipeline.v1.events_pb2 import Events
from pipeline.v1.lines_pb2 import Lines
from pipeline.v1.pipeline_pb2 import Batch
from pytest_pipeline.servers.driver import StageDriver
from pytest_pipeline.servers.fake_clock import FakeClock
from tests.servers.driven import (
    NOTHING,
    PARSE,
    Serves,
    stage_that,
    with_a_reader_thread,
)


def skips(requests: Iterator[Batch], _: Any) -> Iterator[Batch]:
    """Reply to no batch."""
    for _request in requests:
        yield from ()


def leaves(requests: Iterator[Batch], _: Any) -> Iterator[Batch]:
    """End the call instead of replying to the first batch."""
    next(requests)
    yield from ()


def babbles(requests: Iterator[Batch], _: Any) -> Iterator[Any]:
    """Reply with something other than a batch."""
    for request in requests:
        yield request.payload


@pytest.mark.parametrize(
    ("process", "text"),
    [
        (skips, "asks for another batch with 1 unanswered"),
        (leaves, "no reply, the call has ended: OK"),
        (babbles, "replied with Any, not with Batch"),
    ],
)
def test_a_servicer_that_breaks_the_contract_fails_the_exchange(
    clock: FakeClock, process: Callable[..., Any], text: str
) -> None:
    """At once, without waiting for a reply that can't come."""
    with (
        StageDriver(Serves(process), clock) as driver,
        pytest.raises(ContractError, match=f"stage Serves: {text}"),
    ):
        driver.exchange(NOTHING, records=1)


def test_a_reply_with_another_payload_breaks_the_contract(clock: FakeClock) -> None:
    """The error names the batch and the type that was expected."""
    with StageDriver(PARSE, clock) as driver:
        reply = driver.exchange(NOTHING, records=1)

        with pytest.raises(ContractError, match=r"batch 0: .* is no pipeline.v1.Lines"):
            driver.payload(reply, Lines)
        assert unpack(reply.payload, Events) == Events()


@pytest.mark.parametrize("stage", [PARSE, Serves(with_a_reader_thread)])
def test_receiving_before_sending_is_a_usage_error(
    clock: FakeClock, stage: Any
) -> None:
    """It does not hang."""
    with (
        StageDriver(stage, clock, metadata=[("greeting", "hello")]) as driver,
        pytest.raises(UsageError, match="no batch is unanswered"),
    ):
        driver.receive()


@pytest.mark.parametrize(
    ("end", "error", "text"),
    [
        (StageDriver.close, UsageError, "OK"),
        (StageDriver.cancel, StageError, "CANCELLED: cancelled by the client"),
    ],
)
def test_receiving_or_sending_after_the_end_raises(
    clock: FakeClock,
    end: Callable[[StageDriver], object],
    error: type[Exception],
    text: str,
) -> None:
    """It does not hang, however the call ended."""
    with StageDriver(PARSE, clock) as driver:
        driver.exchange(NOTHING, records=1)
        end(driver)

        with pytest.raises(error, match=f"the call has ended: {text}"):
            driver.receive()
        with pytest.raises(UsageError, match="the call is closed"):
            driver.send(NOTHING, records=1)


@pytest.mark.parametrize(
    ("message", "records", "text"),
    [(NOTHING, None, "a Lines stands for"), (Batch(), 1, "a batch says itself")],
)
def test_a_payload_is_sent_with_its_records_and_a_batch_without(
    clock: FakeClock, message: Any, records: int | None, text: str
) -> None:
    """The number of records is neither guessed nor given twice."""
    with (
        StageDriver(PARSE, clock) as driver,
        pytest.raises(UsageError, match=text),
    ):
        driver.send(message, records)


def test_waiting_for_a_stage_that_hangs_ends_in_time(clock: FakeClock) -> None:
    """In real time; the call stays open, and its reply can still be received."""
    go_on = threading.Event()
    stuck = stage_that(go_on.wait)
    with StageDriver(stuck, clock, patience_s=0.05) as driver:
        driver.send(NOTHING, records=1)
        with pytest.raises(StageError, match=r"stage relay: has not replied in 0.05 s"):
            driver.receive()
        go_on.set()

        assert driver.receive().number == 0


def test_a_servicer_may_ask_for_more_while_it_works(clock: FakeClock) -> None:
    """If it reads in another thread than it replies in, a reply can still come."""
    go_on = threading.Event()

    def process(requests: Iterator[Batch], context: Any) -> Iterator[Batch]:
        for reply in with_a_reader_thread(requests, context):
            go_on.wait()
            yield reply

    metadata = [("greeting", "hello")]
    with StageDriver(
        Serves(process), clock, metadata=metadata, patience_s=0.05
    ) as driver:
        driver.send(NOTHING, records=1)
        with pytest.raises(StageError, match="has not replied"):
            driver.receive()
        go_on.set()

        assert driver.receive().number == 0


def test_a_stage_that_does_not_end_fails_the_close(clock: FakeClock) -> None:
    """`close` then cancels the call, and leaving the driver raises too."""
    go_on = threading.Event()
    driver = StageDriver(stage_that(go_on.wait), clock, patience_s=0.05)
    driver.send(NOTHING, records=1)

    with pytest.raises(StageError, match=r"has not ended the call in 0.05 s"):
        driver.close()
    assert driver.close().code is grpc.StatusCode.CANCELLED
    with pytest.raises(StageError, match=r"still works 0.05 s after"), driver:
        pass
    go_on.set()
    with driver:
        pass


def test_a_servicer_that_asks_for_no_batch_fails_the_start(clock: FakeClock) -> None:
    """The call is cancelled, which the servicer can observe."""
    told = threading.Event()

    def process(_: Iterator[Batch], context: Any) -> Iterator[Batch]:
        context.add_callback(told.set)
        told.wait()
        yield from ()

    with pytest.raises(StageError, match=r"has not asked for a batch in 0.05 s"):
        StageDriver(Serves(process), clock, patience_s=0.05)
    assert told.wait(10)


def test_a_servicer_that_asks_for_no_more_fails_the_exchange(clock: FakeClock) -> None:
    """After a reply it must ask for the next batch or end the call."""
    go_on = threading.Event()

    def process(requests: Iterator[Batch], _: Any) -> Iterator[Batch]:
        yield next(requests)
        go_on.wait()

    with StageDriver(Serves(process), clock, patience_s=0.05) as driver:
        with pytest.raises(StageError, match=r"has not asked for a batch in 0.05 s"):
            driver.exchange(NOTHING, records=1)
        go_on.set()


def no_more(_: StageDriver) -> None:
    """Leave the call open."""


def fail_the_call(driver: StageDriver) -> None:
    """Make the stage abort the call."""
    driver.send(Events(), records=0)
    with pytest.raises(StageError, match="INVALID_ARGUMENT"):
        driver.receive()


def fail_the_test(_: StageDriver) -> None:
    """Raise an exception."""
    raise KeyError


@pytest.mark.parametrize(
    "last", [no_more, fail_the_call, fail_the_test, StageDriver.cancel]
)
def test_leaving_ends_the_thread_of_the_servicer(
    clock: FakeClock, last: Callable[[StageDriver], None]
) -> None:
    """However the test and the call ended."""
    threads: list[threading.Thread] = []
    spy = stage_that(lambda: threads.append(threading.current_thread()))
    try:
        with StageDriver(spy, clock) as driver:
            driver.exchange(NOTHING, records=1)
            last(driver)
    except KeyError:
        assert last is fail_the_test

    (thread,) = threads
    assert not thread.is_alive()
