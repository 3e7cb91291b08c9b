"""The driver of a stage: message by message, without a socket, by a fake clock."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from pipeline.clock import Lap
from pipeline.errors import FunctionError, StageError, UsageError
from pipeline.transport.wire import TIMING_KEY, pack
from pipeline.v1.events_pb2 import Events
from pipeline.v1.lines_pb2 import Lines
from pipeline.v1.pipeline_pb2 import Batch, Rejection, Timing
from pytest_pipeline.servers.driver import CallStatus, StageDriver
from pytest_pipeline.servers.fake_clock import FakeClock
from tests.servers.driven import (
    NOTHING,
    PARSE,
    Serves,
    stage_that,
    with_a_reader_thread,
)

GOOD = b'{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":11}\n'


def test_each_message_is_answered(clock: FakeClock) -> None:
    """With the payload, counts and rejections that the stage made."""
    with StageDriver(PARSE, clock) as driver:
        reply = driver.exchange(Lines(first_record=9, text=GOOD + b"x\n"), records=2)

        assert (reply.number, reply.records, reply.filtered) == (0, 1, 0)
        assert list(reply.rejections) == [Rejection(record=10, reason="malformed_json")]
        assert list(driver.payload(reply, Events).value) == [11]


def test_payloads_are_numbered_on_from_the_last_batch(clock: FakeClock) -> None:
    """From 0, or from the number of a batch that was sent whole."""
    batch = Batch(number=7, records=1)
    pack(NOTHING, into=batch.payload)
    with StageDriver(PARSE, clock) as driver:
        numbers = [driver.exchange(NOTHING, records=1).number for _ in range(2)]
        numbers.append(driver.exchange(batch).number)
        numbers.append(driver.exchange(NOTHING, records=1).number)

    assert numbers == [0, 1, 7, 8]


def test_batches_can_be_sent_ahead(clock: FakeClock) -> None:
    """Replies come in order, and can still be received after `close`."""
    with StageDriver(PARSE, clock) as driver:
        for _ in range(3):
            driver.send(NOTHING, records=1)
        first = driver.receive()
        driver.close()

        assert [first.number, driver.receive().number, driver.receive().number] == [
            0,
            1,
            2,
        ]


def test_a_reply_is_received_while_the_stage_works_on_the_next(
    clock: FakeClock,
) -> None:
    """Batches that were sent ahead do not delay a reply that is ready."""
    ready = threading.Semaphore(1)
    with StageDriver(stage_that(ready.acquire), clock) as driver:
        driver.send(NOTHING, records=1)
        driver.send(NOTHING, records=1)
        first = driver.receive()
        ready.release()

        assert [first.number, driver.receive().number] == [0, 1]


def test_changing_a_batch_after_sending_it_has_no_effect(clock: FakeClock) -> None:
    """The stage gets a copy."""
    go_on = threading.Event()
    seen: list[int] = []

    def process(requests: Iterator[Batch], _: Any) -> Iterator[Batch]:
        for request in requests:
            go_on.wait()
            seen.append(request.records)
            yield request

    batch = Batch(records=1)
    with StageDriver(Serves(process), clock) as driver:
        driver.send(batch)
        batch.records = 2
        go_on.set()
        driver.receive()

    assert seen == [1]


def test_closing_returns_the_call_status(clock: FakeClock) -> None:
    """OK, with the trailing metadata of the stage and none of the runtime."""
    with StageDriver(PARSE, clock) as driver:
        driver.exchange(NOTHING, records=1)
        clock.advance(2)
        status = driver.close()

        assert driver.close() == status
    assert (status.code, status.details) == (grpc.StatusCode.OK, "")
    ((key, value),) = status.trailing_metadata
    assert key == TIMING_KEY
    assert isinstance(value, bytes)
    assert Timing.FromString(value).wait_ns == 2_000_000_000


def test_a_payload_of_another_type_ends_the_call(clock: FakeClock) -> None:
    """With INVALID_ARGUMENT, in the call status and in the error of `receive`."""
    details = "batch 0: takes pipeline.v1.Lines, was sent pipeline.v1.Events"
    with StageDriver(PARSE, clock) as driver:
        driver.send(Events(), records=0)

        with pytest.raises(StageError, match=f"parse: .*INVALID_ARGUMENT: {details}"):
            driver.receive()
        assert driver.close() == CallStatus(
            grpc.StatusCode.INVALID_ARGUMENT, details, trailing_metadata=()
        )


def test_a_stage_function_that_raises_fails_the_call(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The error has the status, the details and the traceback of the function."""

    def fail() -> None:
        raise ZeroDivisionError("oh no")

    with StageDriver(stage_that(fail), clock) as driver:
        with pytest.raises(FunctionError) as caught:
            driver.exchange(NOTHING, records=1)

        assert driver.close().code is grpc.StatusCode.INTERNAL
    assert str(caught.value) == (
        "stage relay: no reply, the call has ended: "
        "INTERNAL: batch 0: ZeroDivisionError: oh no"
    )
    assert "in fail" in caught.value.traceback
    assert [record.name for record in caplog.records] == [
        "pipeline.transport.servicers"
    ]


def test_times_are_reported_as_the_clock_was_moved(clock: FakeClock) -> None:
    """Inside the stage function as processing, between batches as waiting."""
    with StageDriver(stage_that(lambda: clock.advance(3)), clock) as driver:
        clock.advance(0.25)
        first = driver.exchange(NOTHING, records=1).timing
        clock.advance(0.1)
        clock.advance(0.2)
        second = driver.exchange(NOTHING, records=1).timing

    assert (first.wait_ns, second.wait_ns) == (250_000_000, 300_000_000)
    for timing in (first, second):
        timing.wait_ns = timing.process_total_cpu_ns = 0
        assert timing == Timing(process_ns=3_000_000_000)
    assert clock.now_ns == 6_550_000_000


def test_a_stopwatch_measures_the_fake_clock(clock: FakeClock) -> None:
    """Laps follow each other without a gap, from the start on."""
    clock.advance(1)
    stopwatch = clock.stopwatch()
    clock.advance(0.5)

    assert [stopwatch.lap(), stopwatch.lap()] == [Lap(500_000_000, 0), Lap(0, 0)]


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_a_clock_moves_only_forward_by_finite_seconds(
    clock: FakeClock, seconds: float
) -> None:
    """Anything else is a usage error, and the clock stays."""
    with pytest.raises(UsageError, match="seconds"):
        clock.advance(seconds)

    assert clock.now_ns == 0


def test_a_deadline_passes_when_the_clock_is_moved_to_it(clock: FakeClock) -> None:
    """Not a nanosecond earlier."""
    clock.advance(0.1)
    with StageDriver(PARSE, clock, timeout_s=0.2) as driver:
        driver.exchange(NOTHING, records=1)
        clock.advance(0.199_999_999)
        driver.exchange(NOTHING, records=1)
        clock.advance(0.000_000_001)

        with pytest.raises(StageError, match="DEADLINE_EXCEEDED"):
            driver.exchange(NOTHING, records=1)
        assert driver.close().code is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_deadline_can_pass_while_the_stage_works(clock: FakeClock) -> None:
    """The reply then comes too late and is dropped."""
    slow = stage_that(lambda: clock.advance(5))
    with StageDriver(slow, clock, timeout_s=2) as driver:
        driver.send(NOTHING, records=1)

    with pytest.raises(StageError, match="DEADLINE_EXCEEDED"):
        driver.receive()


def test_a_failure_after_the_deadline_is_not_reported(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The call has ended by then; only the stage logs the failure."""

    def fail_late() -> None:
        clock.advance(5)
        raise ZeroDivisionError

    with StageDriver(stage_that(fail_late), clock, timeout_s=2) as driver:
        driver.send(NOTHING, records=1)
        status = driver.close()

    assert status.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert status.trailing_metadata == ()
    assert driver.close() == status
    assert [record.name for record in caplog.records] == [
        "pipeline.transport.servicers"
    ]


@pytest.mark.parametrize("timeout_s", [0, 1e-10, -1])
def test_a_timeout_must_be_positive(clock: FakeClock, timeout_s: float) -> None:
    """A call without any time could not be opened."""
    with pytest.raises(UsageError, match="timeout_s"):
        StageDriver(PARSE, clock, timeout_s=timeout_s)


def test_a_call_can_be_cancelled_at_a_set_time(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Ending a call and its deadline while the clock moves causes no deadlock."""
    with StageDriver(PARSE, clock, timeout_s=9) as driver:
        clock.call_at(driver.cancel, 1)
        clock.advance(10)

        assert driver.close() == CallStatus(
            grpc.StatusCode.CANCELLED, "cancelled by the client", ()
        )
    assert caplog.records == []


def test_a_servicer_of_a_user_can_be_driven(clock: FakeClock) -> None:
    """Even one that reads in another thread than it replies in."""
    servicer = Serves(with_a_reader_thread)
    with StageDriver(servicer, clock, metadata=[("greeting", "hello")]) as driver:
        replies = [driver.exchange(NOTHING, records=count) for count in (3, 4)]
        status = driver.close()

    assert replies == [Batch(number=0, filtered=3), Batch(number=1, filtered=4)]
    assert status.code is grpc.StatusCode.OK


def test_the_status_of_an_abort_has_its_trailing_metadata(clock: FakeClock) -> None:
    """As with gRPC, though the call ended before anything was sent."""
    with StageDriver(Serves(with_a_reader_thread), clock) as driver:
        status = driver.close()

    assert status == CallStatus(
        grpc.StatusCode.PERMISSION_DENIED, "say hello", (("wanted", "hello"),)
    )


def test_a_servicer_without_the_method_is_refused(clock: FakeClock) -> None:
    """The error names its class."""
    servicer: Any = object()
    with pytest.raises(UsageError, match="stage object: has no method Process"):
        StageDriver(servicer, clock)
