"""Several servers of one stage: same result, same bounds, all of them at work."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.engines.legs import InFlightBatch
from pipeline.engines.monolith import MonolithEngine
from pipeline.engines.replicas import Replicas
from pipeline.engines.split import SplitEngine
from pipeline.engines.window import WindowLimits
from pipeline.errors import LostStageError, StageError, UsageError
from pipeline.transport.folders import ServedFolders
from pipeline.transport.server import StageServer
from pipeline.v1.pipeline_pb2 import Batch
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.generate import generate_events
from pytest_pipeline import strategies
from tests.engines.conftest import FakeStage, SettingsFor

DATA = b"".join(generate_events(100, seed=1, users=5))


@pytest.fixture
def three_of_each(
    addresses: dict[str, str], tmp_path: Path
) -> Iterator[dict[str, list[str]]]:
    """Three servers of every transform stage, one of ingest and one of sink."""
    more = [
        (name, StageServer(EVENTS, name, f"unix:{tmp_path}/{name}{n}", nothing))
        for nothing in [ServedFolders([])]
        for name in ("parse", "rules", "aggregate")
        for n in (1, 2)
    ]
    three = {name: [address] for name, address in addresses.items()}
    for name, server in more:
        three[name].append(server.address)
    yield three
    for _, server in more:
        server.stop_now()


@given(
    strategies.event_files(),
    st.integers(1, 25),
    st.fixed_dictionaries(
        {name: st.integers(1, 3) for name in ("parse", "rules", "aggregate")}
    ),
    st.builds(WindowLimits, st.integers(1, 4), st.integers(1, 400)),
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_number_of_replicas_gives_the_same(
    settings_for: SettingsFor,
    three_of_each: dict[str, list[str]],
    data: bytes,
    batch_size: int,
    replicas: dict[str, int],
    window: WindowLimits,
) -> None:
    """Result and rejects are those of the monolith, down to the byte."""
    run = settings_for(data + DATA, batch_size)
    addresses = {
        name: found[: replicas.get(name, 1)] for name, found in three_of_each.items()
    }

    MonolithEngine().run(run)
    expected = files(run.output, run.rejects)
    report = SplitEngine(addresses, window=window).run(run)

    assert files(run.output, run.rejects) == expected
    assert {name: report.stages[name].replicas for name in replicas} == replicas


def files(*paths: Path | None) -> list[bytes]:
    """Return what is in the files."""
    return [path.read_bytes() for path in paths if path is not None]


def test_servers_are_started_beside_those_that_run_already(
    settings_for: SettingsFor, addresses: dict[str, str]
) -> None:
    """Of three replicas asked for and one address given, two are started."""
    run = settings_for(DATA, 10)
    MonolithEngine().run(run)
    expected = files(run.output, run.rejects)

    report = SplitEngine(addresses, replicas={"parse": 3}).run(run)

    assert files(run.output, run.rejects) == expected
    assert report.stages["parse"].replicas == 3
    assert report.stages["rules"].replicas == 1
    assert report.stages["parse"].messages_in == 10


class FakeLeg:
    """A replica that answers when the test says so."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.down = False
        self._unanswered: deque[InFlightBatch] = deque()
        self._answers: asyncio.Queue[InFlightBatch | Exception | None] = asyncio.Queue()

    def start(self, _: asyncio.TaskGroup) -> None:
        """Need no task."""

    @property
    def is_down(self) -> bool:
        """Whether the test says so."""
        return self.down

    @property
    def unanswered(self) -> int:
        """Batches that the test has not answered yet."""
        return len(self._unanswered)

    def take_unanswered(self) -> deque[InFlightBatch]:
        """Return the batches that the test has not answered."""
        taken, self._unanswered = self._unanswered, deque()
        return taken

    async def send(self, batch: InFlightBatch, _: bytes) -> None:
        """Take a batch."""
        self.sent.append(batch.message.number)
        self._unanswered.append(batch)

    def answer(self) -> None:
        """Answer the oldest batch."""
        self._answers.put_nowait(self._unanswered.popleft())

    def lose(self) -> None:
        """Lose the replica for good."""
        self._answers.put_nowait(LostStageError("gone"))

    async def close(self) -> None:
        """End the answers."""
        self._answers.put_nowait(None)

    async def receive(self) -> InFlightBatch | None:
        """Wait for the next answer."""
        answer = await self._answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer


def in_flight(number: int) -> InFlightBatch:
    """Return a batch under way."""
    return InFlightBatch(Batch(number=number), first_record=1, ingested=1)


async def number_of_next(replicas: Replicas) -> int:
    """Return the number of the next batch in order."""
    received = await replicas.receive()
    assert received is not None
    return received.message.number


def test_the_least_busy_replica_gets_the_next_batch() -> None:
    """Ties go round; one that does not answer gets no more than the others lack."""
    slow, quick = FakeLeg(), FakeLeg()

    async def run() -> None:
        replicas = Replicas([slow, quick], WindowLimits())
        await replicas.send(in_flight(0))
        for number in range(1, 6):
            await replicas.send(in_flight(number))
            quick.answer()
        for number in range(6, 9):
            await replicas.send(in_flight(number))

    asyncio.run(run())

    assert slow.sent == [0, 7]
    assert quick.sent == [1, 2, 3, 4, 5, 6, 8]


def test_answers_are_passed_on_in_order() -> None:
    """Whichever replica answers first, and to the end."""
    first, second = FakeLeg(), FakeLeg()

    async def run() -> list[int]:
        replicas = Replicas([first, second], WindowLimits())
        for number in range(4):
            await replicas.send(in_flight(number))
        async with asyncio.TaskGroup() as tasks:
            replicas.start(tasks)
            for leg in (second, second, first, first):
                leg.answer()
                await asyncio.sleep(0)
            numbers = [await number_of_next(replicas) for _ in range(4)]
            await replicas.close()
            assert await replicas.receive() is None
        return numbers

    assert asyncio.run(run()) == [0, 1, 2, 3]


def test_answers_out_of_turn_keep_their_place_in_the_window() -> None:
    """A replica that is stuck stops the others, rather than let answers pile up."""
    stuck, quick = FakeLeg(), FakeLeg()

    async def run() -> None:
        replicas = Replicas([stuck, quick], WindowLimits(batches=4))
        async with asyncio.TaskGroup() as tasks:
            replicas.start(tasks)
            await replicas.send(in_flight(0))
            for number in (1, 2, 3):
                await replicas.send(in_flight(number))
                quick.answer()
                await asyncio.sleep(0)
            fifth = tasks.create_task(replicas.send(in_flight(4)))
            await asyncio.sleep(0)
            assert not fifth.done()

            stuck.answer()
            assert await number_of_next(replicas) == 0
            await fifth
            stuck.answer()
            await replicas.close()

    asyncio.run(run())


def test_no_replica_waits_for_another_to_get_a_batch() -> None:
    """Batches that fill the window each go out, one to each replica."""
    legs = [FakeLeg(), FakeLeg(), FakeLeg()]

    async def run() -> None:
        replicas = Replicas(legs, WindowLimits(batches=1, bytes=1))
        for number in range(3):
            await replicas.send(in_flight(number))

    asyncio.run(run())

    assert [leg.sent for leg in legs] == [[0], [1], [2]]


def test_a_replica_that_is_down_gets_no_batch_while_another_is_up() -> None:
    """Its server is being replaced; the other answers sooner, however busy it is."""
    down, up = FakeLeg(), FakeLeg()
    down.down = True

    async def run() -> None:
        replicas = Replicas([down, up], WindowLimits())
        for number in range(3):
            await replicas.send(in_flight(number))

    asyncio.run(run())

    assert (down.sent, up.sent) == ([], [0, 1, 2])


def test_a_replica_that_is_lost_for_good_leaves_its_batches_to_the_others() -> None:
    """They are answered in the order in which they were first sent, to the end."""
    lost, other = FakeLeg(), FakeLeg()

    async def run() -> list[int]:
        replicas = Replicas([lost, other], WindowLimits())
        async with asyncio.TaskGroup() as tasks:
            replicas.start(tasks)
            for number in range(4):
                await replicas.send(in_flight(number))
            await replicas.close()
            lost.lose()
            for _ in range(10):
                await asyncio.sleep(0)  # until every task waits
            for _ in range(4):
                other.answer()
            numbers = [await number_of_next(replicas) for _ in range(4)]
            assert await replicas.receive() is None
        return numbers

    assert asyncio.run(run()) == [0, 1, 2, 3]
    assert other.sent == [1, 3, 0, 2]


@pytest.mark.parametrize(("outlive_loss", "losses"), [(True, 2), (False, 1)])
def test_a_loss_that_no_replica_outlives_fails_the_run(
    outlive_loss: bool, losses: int
) -> None:
    """Nobody is left to take its batches, or nobody is to take them."""
    legs = [FakeLeg(), FakeLeg()]

    async def run() -> None:
        replicas = Replicas(legs, WindowLimits(), outlive_loss=outlive_loss)
        async with asyncio.TaskGroup() as tasks:
            replicas.start(tasks)
            await replicas.send(in_flight(0))
            for leg in legs[:losses]:
                leg.lose()

    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(run())
    assert [str(error) for error in raised.value.exceptions] == ["gone"]


@pytest.mark.parametrize(
    ("addresses_", "replicas", "message"),
    [
        ({}, {"pares": 2}, "stage 'pares': workload events has ingest, parse"),
        ({}, {"parse": 0}, "stage parse: 0 replicas asked for; must be 1 or more"),
        ({"parse": ["a:1", "b:1"]}, {"parse": 1}, "must be 2 or more, the number of"),
        ({"parse": ["a:1", "a:1"]}, {}, "stage parse: two of its addresses are the"),
        ({}, {"ingest": 2}, "stage ingest: 2 replicas asked for; only transform"),
        ({"sink": ["a:1", "b:1"]}, {}, "stage sink: 2 replicas asked for; only"),
    ],
)
def test_replicas_that_can_not_be_are_wrong_usage(
    settings_for: SettingsFor,
    addresses_: dict[str, list[str]],
    replicas: dict[str, int],
    message: str,
) -> None:
    """The error says of which stage, and what is possible."""
    with pytest.raises(UsageError, match=message):
        SplitEngine(addresses_, replicas=replicas).run(settings_for(DATA))


def test_a_replica_that_fails_fails_the_run(
    settings_for: SettingsFor, addresses: dict[str, str], fake_stage: FakeStage
) -> None:
    """In its own words, although the other would go on."""

    def fail(
        requests: Iterator[Batch], context: grpc.ServicerContext
    ) -> Iterator[Batch]:
        batch = next(requests)
        context.abort(grpc.StatusCode.INTERNAL, f"batch {batch.number}: no luck")
        yield batch

    engine = SplitEngine({**addresses, "parse": [addresses["parse"], fake_stage(fail)]})

    with pytest.raises(StageError, match=r"^stage parse: batch 1: no luck$"):
        engine.run(settings_for(DATA))
