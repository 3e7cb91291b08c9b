"""The driver: a stage message by message, without a socket, by a clock that stands."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import grpc
import pytest

from pipeline.clock import Lap
from pipeline.errors import ContractError, FunctionError, StageError, UsageError
from pipeline.stage import Output, Stage
from pipeline.transport.wire import TIMING_KEY, pack, unpack
from pipeline.v1.events_pb2 import Events
from pipeline.v1.lines_pb2 import Lines
from pipeline.v1.pipeline_pb2 import Batch, Rejection, Timing
from pipeline.workloads.events import EVENTS
from pytest_pipeline.driver import Ending, FakeClock, StageDriver

GOOD = b'{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":11}\n'
PARSE = EVENTS.transform("parse")
NOTHING = Lines()


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands at 0."""
    return FakeClock()


def stage_that(does: Callable[[], object]) -> Stage[Lines, Lines]:
    """Make a stage that does something and returns the one record that it was sent."""

    def function(lines: Lines) -> Output[Lines]:
        does()
        return Output(lines, records=1)

    return Stage("relay", Lines, Lines, function)


class Serves:
    """A servicer of one's own, made of a function."""

    def __init__(self, process: Callable[[Iterator[Batch], Any], Any]) -> None:
        self._process = process

    def Process(  # noqa: N802 - named by the contract
        self, requests: Iterator[Batch], context: Any
    ) -> Iterable[Batch]:
        """Do as the function does."""
        replies: Iterable[Batch] = self._process(requests, context)
        return replies


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


def test_closing_returns_the_ending(clock: FakeClock) -> None:
    """OK, with the trailing metadata of the stage and none of the runtime's."""
    with StageDriver(PARSE, clock) as driver:
        driver.exchange(NOTHING, records=1)
        clock.advance(2)
        ending = driver.close()

        assert driver.close() == ending
    assert (ending.code, ending.details) == (grpc.StatusCode.OK, "")
    ((key, value),) = ending.trailing_metadata
    assert key == TIMING_KEY
    assert isinstance(value, bytes)
    assert Timing.FromString(value).wait_ns == 2_000_000_000


def test_a_payload_of_another_type_ends_the_call(clock: FakeClock) -> None:
    """INVALID_ARGUMENT, which the ending tells, and the error of who waits."""
    details = "batch 0: takes pipeline.v1.Lines, was sent pipeline.v1.Events"
    with StageDriver(PARSE, clock) as driver:
        driver.send(Events(), records=0)

        with pytest.raises(StageError, match=f"parse: .*INVALID_ARGUMENT: {details}"):
            driver.receive()
        assert driver.close() == Ending(
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
        ending = driver.close()

    assert ending.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert ending.trailing_metadata == ()
    assert driver.close() == ending
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

        assert driver.close() == Ending(
            grpc.StatusCode.CANCELLED, "cancelled by the client", ()
        )
    assert caplog.records == []


def with_a_reader_thread(requests: Iterator[Batch], context: Any) -> Iterator[Batch]:
    """Serve batches that another thread reads; refuse who does not say hello."""
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


def test_a_servicer_of_ones_own_is_driven_alike(clock: FakeClock) -> None:
    """Also one that reads in another thread than it answers in."""
    servicer = Serves(with_a_reader_thread)
    with StageDriver(servicer, clock, metadata=[("greeting", "hello")]) as driver:
        replies = [driver.exchange(NOTHING, records=count) for count in (3, 4)]
        ending = driver.close()

    assert replies == [Batch(number=0, filtered=3), Batch(number=1, filtered=4)]
    assert ending.code is grpc.StatusCode.OK


def test_an_abort_is_told_with_its_trailing_metadata(clock: FakeClock) -> None:
    """As gRPC sends it, though the call was over before anything was sent."""
    with StageDriver(Serves(with_a_reader_thread), clock) as driver:
        ending = driver.close()

    assert ending == Ending(
        grpc.StatusCode.PERMISSION_DENIED, "say hello", (("wanted", "hello"),)
    )


def test_a_servicer_must_have_the_method(clock: FakeClock) -> None:
    """What serves something else is refused by its name."""
    servicer: Any = object()
    with pytest.raises(UsageError, match="stage object: has no method Process"):
        StageDriver(servicer, clock)


def skips(requests: Iterator[Batch], _: Any) -> Iterator[Batch]:
    """Answer no batch."""
    for _request in requests:
        yield from ()


def leaves(requests: Iterator[Batch], _: Any) -> Iterator[Batch]:
    """End the call instead of answering the first batch."""
    next(requests)
    yield from ()


def babbles(requests: Iterator[Batch], _: Any) -> Iterator[Any]:
    """Answer with something else than a batch."""
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
def test_a_servicer_that_breaks_the_contract_is_told_so(
    clock: FakeClock, process: Callable[..., Any], text: str
) -> None:
    """At once, instead of waiting for a reply that can't come."""
    with (
        StageDriver(Serves(process), clock) as driver,
        pytest.raises(ContractError, match=f"stage Serves: {text}"),
    ):
        driver.exchange(NOTHING, records=1)


def test_a_reply_with_another_payload_breaks_the_contract(clock: FakeClock) -> None:
    """The error names the batch and the type that was wanted."""
    with StageDriver(PARSE, clock) as driver:
        reply = driver.exchange(NOTHING, records=1)

        with pytest.raises(ContractError, match=r"batch 0: .* is no pipeline.v1.Lines"):
            driver.payload(reply, Lines)
        assert unpack(reply.payload, Events) == Events()


@pytest.mark.parametrize("stage", [PARSE, Serves(with_a_reader_thread)])
def test_nothing_sent_is_nothing_to_receive(clock: FakeClock, stage: Any) -> None:
    """A test that waits for it is wrong, and does not hang."""
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
def test_after_the_end_nothing_hangs(
    clock: FakeClock,
    end: Callable[[StageDriver], object],
    error: type[Exception],
    text: str,
) -> None:
    """There is no reply to receive, and nothing can be sent."""
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
    """How many there are is neither guessed nor said twice."""
    with (
        StageDriver(PARSE, clock) as driver,
        pytest.raises(UsageError, match=text),
    ):
        driver.send(message, records)


def test_a_stage_that_hangs_is_not_waited_for_without_end(clock: FakeClock) -> None:
    """The patience is in real time, and to lose it leaves the call as it is."""
    go_on = threading.Event()
    stuck = stage_that(go_on.wait)
    with StageDriver(stuck, clock, patience_s=0.05) as driver:
        driver.send(NOTHING, records=1)
        with pytest.raises(StageError, match=r"stage relay: has not replied in 0.05 s"):
            driver.receive()
        go_on.set()

        assert driver.receive().number == 0


def test_a_servicer_may_ask_for_more_while_it_works(clock: FakeClock) -> None:
    """If it reads in another thread than it answers in, a reply can still come."""
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


def test_a_stage_that_does_not_end_is_told_so(clock: FakeClock) -> None:
    """To close cancels the call then, and to leave tells that it still works."""
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


def test_a_servicer_that_asks_for_nothing_is_not_opened(clock: FakeClock) -> None:
    """The error tells so, and the servicer is told that the call is over."""
    told = threading.Event()

    def process(_: Iterator[Batch], context: Any) -> Iterator[Batch]:
        context.add_callback(told.set)
        told.wait()
        yield from ()

    with pytest.raises(StageError, match=r"has not asked for a batch in 0.05 s"):
        StageDriver(Serves(process), clock, patience_s=0.05)
    assert told.wait(10)


def test_a_servicer_that_asks_for_no_more_is_told_so(clock: FakeClock) -> None:
    """After its reply it has to ask for the next batch, or to end the call."""
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
    """Have the call aborted."""
    driver.send(Events(), records=0)
    with pytest.raises(StageError, match="INVALID_ARGUMENT"):
        driver.receive()


def fail_the_test(_: StageDriver) -> None:
    """Leave by an exception."""
    raise KeyError


@pytest.mark.parametrize(
    "last", [no_more, fail_the_call, fail_the_test, StageDriver.cancel]
)
def test_leaving_ends_the_thread_of_the_servicer(
    clock: FakeClock, last: Callable[[StageDriver], None]
) -> None:
    """However the test and the call came to their end."""
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
