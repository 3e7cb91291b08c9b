"""A server of a transform stage that is lost is replaced; the result is whole."""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from pipeline.engines.legs import InFlightBatch, TransformLeg
from pipeline.engines.monolith import MonolithEngine
from pipeline.engines.recovery import RecoveringLeg, Recovery
from pipeline.engines.split import SplitEngine
from pipeline.errors import (
    LostStageError,
    PipelineError,
    StageError,
    UsageError,
)
from pipeline.v1.pipeline_pb2 import Batch
from tests.engines.conftest import Lose, SettingsFor, files, struck
from tests.engines.failing import DATA


class FakeLeg:
    """A leg to one server, which answers and is lost when the test says so."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.is_closed = False
        self._unanswered: deque[InFlightBatch] = deque()
        self._answers: asyncio.Queue[InFlightBatch | PipelineError] = asyncio.Queue()

    @property
    def unanswered(self) -> int:
        """Batches that the test has not answered."""
        return len(self._unanswered)

    def take_unanswered(self) -> deque[InFlightBatch]:
        """Return the batches that the test has not answered."""
        taken, self._unanswered = self._unanswered, deque()
        return taken

    async def send(self, batch: InFlightBatch, raw: bytes) -> None:
        """Take a batch."""
        assert raw == batch.message.SerializeToString()
        self.sent.append(batch.message.number)
        self._unanswered.append(batch)

    async def close(self) -> None:
        """Note it."""
        self.is_closed = True

    async def receive(self) -> InFlightBatch:
        """Wait for the next answer."""
        answer = await self._answers.get()
        if isinstance(answer, PipelineError):
            raise answer
        return answer

    def answer(self) -> None:
        """Answer the oldest batch."""
        self._answers.put_nowait(self._unanswered.popleft())

    def fail(self, error: PipelineError) -> None:
        """Let the call fail."""
        self._answers.put_nowait(error)


LOST = LostStageError(
    "stage rules at unix:r is lost: ended by SIGKILL", "ended by SIGKILL"
)


class Servers:
    """The legs to the servers that follow each other, and the pauses between them."""

    def __init__(self, *next_ones: FakeLeg | StageError, retries: int = 5) -> None:
        self.first = FakeLeg()
        self.pauses: list[float] = []
        self.losses: list[tuple[int | None, str]] = []
        self._next_ones = deque(next_ones)
        self.leg = RecoveringLeg(
            cast("TransformLeg", self.first), self._reopen, retries, self._sleep
        )

    async def _reopen(self, batch: int | None, reason: str) -> TransformLeg:
        self.losses.append((batch, reason))
        found = self._next_ones.popleft()
        if isinstance(found, StageError):
            raise found
        return cast("TransformLeg", found)

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


def played(scene: Callable[[asyncio.TaskGroup], Awaitable[None]]) -> None:
    """Run ``scene`` with a task group, and raise what it raises."""

    async def run() -> None:
        async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
            await scene(tasks)

    asyncio.run(run())


async def others_run() -> None:
    """Let every other task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


async def send(leg: RecoveringLeg, *numbers: int) -> None:
    """Send batches of these numbers."""
    for number in numbers:
        message = Batch(number=number)
        batch = InFlightBatch(message, first_record=10 * number + 1, ingested=10)
        await leg.send(batch, message.SerializeToString())


async def received(leg: RecoveringLeg) -> int | None:
    """Return the number of the next batch; None at the end."""
    batch = await leg.receive()
    return None if batch is None else batch.message.number


def test_what_a_lost_server_has_not_answered_is_sent_to_the_next() -> None:
    """In order, the first batch alone until it is answered, and each only once more."""
    second = FakeLeg()
    servers = Servers(second)

    async def scene(tasks: asyncio.TaskGroup) -> None:
        leg = servers.leg
        leg.start(tasks)
        await send(leg, 0, 1, 2)
        servers.first.answer()
        assert await received(leg) == 0
        servers.first.fail(LOST)
        reading = tasks.create_task(received(leg))
        await others_run()
        assert second.sent == [1]
        await send(leg, 3)
        await leg.close()
        second.answer()
        assert await reading == 1
        await others_run()
        assert second.sent == [1, 2, 3]
        assert second.is_closed
        for expected in (2, 3):
            second.answer()
            assert await received(leg) == expected

    played(scene)

    assert servers.first.sent == [0, 1, 2]
    assert servers.losses == [(1, "ended by SIGKILL")]


def test_pauses_between_attempts_grow_until_there_is_a_reply() -> None:
    """A server that is away for long is not asked all the time."""
    second, third = FakeLeg(), FakeLeg()
    servers = Servers(StageError("nobody answers"), LOST, second, third)

    async def scene(tasks: asyncio.TaskGroup) -> None:
        servers.leg.start(tasks)
        await send(servers.leg, 0, 1)
        servers.first.fail(LOST)
        reading = tasks.create_task(received(servers.leg))
        await others_run()
        second.answer()
        assert await reading == 0
        second.fail(LOST)
        reading = tasks.create_task(received(servers.leg))
        await others_run()
        third.answer()
        assert await reading == 1

    played(scene)

    assert servers.pauses == pytest.approx([0.1, 0.4, 1.6, 0.1])


def test_a_server_that_is_lost_after_its_last_reply_is_not_replaced() -> None:
    """Everything is answered, so that the run goes on to its end."""
    servers = Servers()

    async def scene(tasks: asyncio.TaskGroup) -> None:
        servers.leg.start(tasks)
        await send(servers.leg, 0)
        servers.first.answer()
        assert await received(servers.leg) == 0
        await servers.leg.close()
        servers.first.fail(LOST)
        assert await received(servers.leg) is None

    played(scene)


def test_a_server_that_can_not_be_reached_again_is_lost_for_good() -> None:
    """The error says why, how often it was tried, and with which batch."""
    gone = StageError("stage rules: nobody answers at unix:r")
    servers = Servers(gone, gone, retries=2)

    async def scene(tasks: asyncio.TaskGroup) -> None:
        servers.leg.start(tasks)
        await send(servers.leg, 4)
        servers.first.fail(LOST)
        with pytest.raises(LostStageError) as raised:
            await servers.leg.receive()
        assert str(raised.value) == (
            "stage rules: nobody answers at unix:r; lost 3 times in a row at batch 4, "
            "from record 41"
        )
        assert [batch.message.number for batch in servers.leg.take_unanswered()] == [4]

    played(scene)


def test_a_batch_that_ends_every_server_fails_the_run() -> None:
    """It is not left to other replicas, whose servers it would end, too."""
    legs = [FakeLeg(), FakeLeg()]
    servers = Servers(*legs, retries=2)

    async def scene(tasks: asyncio.TaskGroup) -> None:
        servers.leg.start(tasks)
        await send(servers.leg, 4, 5)
        reading = tasks.create_task(servers.leg.receive())
        for leg in (servers.first, *legs):
            leg.fail(LOST)
            await others_run()
        with pytest.raises(StageError) as raised:
            await reading
        assert type(raised.value) is StageError
        assert str(raised.value) == (
            f"{LOST}; lost 3 times in a row at batch 4, from record 41"
        )

    with pytest.raises(ExceptionGroup):
        played(scene)

    assert [leg.sent for leg in legs] == [[4], [4]]


def test_a_stage_that_fails_is_not_asked_again() -> None:
    """A pure function would fail again."""
    servers = Servers()
    broken = StageError("stage rules: batch 0: ZeroDivisionError: no luck")

    async def scene(tasks: asyncio.TaskGroup) -> None:
        servers.leg.start(tasks)
        await send(servers.leg, 0)
        servers.first.fail(broken)
        with pytest.raises(StageError, match="no luck"):
            await servers.leg.receive()

    played(scene)

    assert servers.pauses == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"retries": -1}, "retries -1: must be 0 or more"),
        ({"stage_timeout_s": 0}, "stage timeout 0: must be more than 0 seconds"),
        ({"stage_timeout_s": float("nan")}, "stage timeout nan: must be more than 0"),
    ],
)
def test_a_recovery_that_can_not_be_is_wrong_usage(
    settings: dict[str, Any], message: str
) -> None:
    """The error names the value."""
    with pytest.raises(UsageError, match=message):
        Recovery(**settings)


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize(
    ("stage", "number"),
    [
        ("parse", signal.SIGKILL),
        ("rules", signal.SIGKILL),
        ("aggregate", signal.SIGKILL),
        ("rules", signal.SIGSTOP),
    ],
)
def test_servers_that_die_or_freeze_are_replaced(
    settings_for: SettingsFor,
    lose: Lose,
    stage: str,
    number: signal.Signals,
    replicas: int,
) -> None:
    """Twice in a run: the result is the monolith's, and the report tells."""
    run = settings_for(DATA * 20, 10)
    MonolithEngine().run(run)
    expected = files(run)

    report = SplitEngine(
        replicas={stage: replicas},
        recovery=Recovery(stage_timeout_s=0.5),
        on_message=struck(lose, stage, number, 50, 100),
    ).run(run)

    assert files(run) == expected
    assert 1 <= report.stages[stage].recoveries <= 2


def test_without_retries_a_loss_fails_the_run_though_a_replica_is_left(
    settings_for: SettingsFor, lose: Lose
) -> None:
    """Whoever asks for none wants to see each loss."""
    run = settings_for(
        DATA * 50, 1, on_progress=lambda _: lose("parse", signal.SIGKILL)
    )

    with pytest.raises(LostStageError, match=r"stage parse at .* ended by SIGKILL"):
        SplitEngine(replicas={"parse": 2}, recovery=Recovery(retries=0)).run(run)
