"""The driver: a stage message by message, without a socket, by a clock that stands."""

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
    """Payload, counts and rejections come back as the stage made them."""
    with StageDriver(PARSE, clock) as driver:
        reply = driver.exchange(Lines(first_record=9, text=GOOD + b"x\n"), records=2)

        assert (reply.number, reply.records, reply.filtered) == (0, 1, 0)
        assert list(reply.rejections) == [Rejection(record=10, reason="malformed_json")]
        assert list(driver.payload(reply, Events).value) == [11]


def test_payloads_are_numbered_after_what_was_sent_before(clock: FakeClock) -> None:
    """From 0, or on from the batch that was sent as it is."""
    batch = Batch(number=7, records=1)
    pack(NOTHING, into=batch.payload)
    with StageDriver(PARSE, clock) as driver:
        numbers = [driver.exchange(NOTHING, records=1).number for _ in range(2)]
        numbers.append(driver.exchange(batch).number)
        numbers.append(driver.exchange(NOTHING, records=1).number)

    assert numbers == [0, 1, 7, 8]


def test_batches_can_be_sent_ahead(clock: FakeClock) -> None:
    """Replies come in order, also after no more is sent."""
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
    """What was sent ahead does not hold up what is ready."""
    ready = threading.Semaphore(1)
    with StageDriver(stage_that(ready.acquire), clock) as driver:
        driver.send(NOTHING, records=1)
        driver.send(NOTHING, records=1)
        first = driver.receive()
        ready.release()

        assert [first.number, driver.receive().number] == [0, 1]


def test_a_batch_that_was_sent_is_out_of_the_senders_hands(clock: FakeClock) -> None:
    """What the test does with its batch afterwards does not reach the stage."""
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
    """OK, with the trailing metadata of the stage and none of the runtime's."""
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
    """INVALID_ARGUMENT, which the status tells, and the error of who waits."""
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
    """The error names status and details, and has the traceback of the function."""

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


def test_times_are_told_as_the_clock_was_moved(clock: FakeClock) -> None:
    """Inside the function it is processing, between batches waiting, else nothing."""
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


def test_a_stopwatch_goes_by_the_clock(clock: FakeClock) -> None:
    """Its laps leave no gap and begin where it was started."""
    clock.advance(1)
    stopwatch = clock.stopwatch()
    clock.advance(0.5)

    assert [stopwatch.lap(), stopwatch.lap()] == [Lap(500_000_000, 0), Lap(0, 0)]


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_a_clock_moves_only_forward(clock: FakeClock, seconds: float) -> None:
    """By a number of seconds that there is."""
    with pytest.raises(UsageError, match="seconds"):
        clock.advance(seconds)

    assert clock.now_ns == 0


def test_a_deadline_passes_when_the_clock_is_moved_to_it(clock: FakeClock) -> None:
    """Not a nanosecond earlier, and without rounding."""
    clock.advance(0.1)
    with StageDriver(PARSE, clock, timeout_s=0.2) as driver:
        driver.exchange(NOTHING, records=1)
        clock.advance(0.199_999_999)
        driver.exchange(NOTHING, records=1)
        clock.advance(0.000_000_001)

        with pytest.raises(StageError, match="DEADLINE_EXCEEDED"):
            driver.exchange(NOTHING, records=1)
        assert driver.close().code is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_deadline_can_pass_in_the_middle_of_the_work(clock: FakeClock) -> None:
    """What the stage then makes of the batch comes too late to be a reply."""
    slow = stage_that(lambda: clock.advance(5))
    with StageDriver(slow, clock, timeout_s=2) as driver:
        driver.send(NOTHING, records=1)

    with pytest.raises(StageError, match="DEADLINE_EXCEEDED"):
        driver.receive()


def test_a_failure_after_the_deadline_is_not_told(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The call has ended by then; only the stage logs what it was."""

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
def test_a_timeout_must_leave_time(clock: FakeClock, timeout_s: float) -> None:
    """A call without any could not even be opened."""
    with pytest.raises(UsageError, match="timeout_s"):
        StageDriver(PARSE, clock, timeout_s=timeout_s)


def test_a_call_can_be_cancelled_at_a_set_time(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """To end a call, and its deadline with it, while the clock moves is safe."""
    with StageDriver(PARSE, clock, timeout_s=9) as driver:
        clock.call_at(driver.cancel, 1)
        clock.advance(10)

        assert driver.close() == CallStatus(
            grpc.StatusCode.CANCELLED, "cancelled by the client", ()
        )
    assert caplog.records == []


def test_a_servicer_of_ones_own_is_driven_alike(clock: FakeClock) -> None:
    """Also one that reads in another thread than it answers in."""
    servicer = Serves(with_a_reader_thread)
    with StageDriver(servicer, clock, metadata=[("greeting", "hello")]) as driver:
        replies = [driver.exchange(NOTHING, records=count) for count in (3, 4)]
        status = driver.close()

    assert replies == [Batch(number=0, filtered=3), Batch(number=1, filtered=4)]
    assert status.code is grpc.StatusCode.OK


def test_an_abort_is_told_with_its_trailing_metadata(clock: FakeClock) -> None:
    """As gRPC sends it, though the call was over before anything was sent."""
    with StageDriver(Serves(with_a_reader_thread), clock) as driver:
        status = driver.close()

    assert status == CallStatus(
        grpc.StatusCode.PERMISSION_DENIED, "say hello", (("wanted", "hello"),)
    )


def test_a_servicer_must_have_the_method(clock: FakeClock) -> None:
    """What serves something else is refused by its name."""
    servicer: Any = object()
    with pytest.raises(UsageError, match="stage object: has no method Process"):
        StageDriver(servicer, clock)
