"""Ingest or the sink is lost: what can be read again is, and the result is whole."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from pipeline.batching import BatchLimits
from pipeline.engines.base import RunSettings
from pipeline.engines.legs import InFlightBatch, IngestLeg
from pipeline.engines.monolith import MonolithEngine
from pipeline.engines.pacing import Pacer
from pipeline.engines.recovery import RecoveringIngest, Recovery
from pipeline.engines.rereading import Rereading
from pipeline.engines.split import SplitEngine
from pipeline.errors import LostStageError, SourceError, StageError
from pipeline.inputs import joined_paths
from pipeline.transport.client import Call, Channel
from pipeline.transport.processes import StageServers
from pipeline.transport.wire import GRANT
from pipeline.v1.pipeline_pb2 import Batch, Credit
from pipeline.workloads.events import EVENTS
from tests.engines.conftest import Lose, SettingsFor, files, struck
from tests.engines.failing import DATA as EVENTS_DATA
from tests.engines.resuming import EXAMPLE, NewRun

DATA = EVENTS_DATA + b"no event\n" * 5

# Hangs are noticed after this time, which must be longer than any batch takes.
SOON = Recovery(stage_timeout_s=0.5)


def expected(run: RunSettings) -> tuple[bytes, bytes]:
    """Return result and rejects of the monolith; remove them."""
    MonolithEngine().run(run)
    found = files(run)
    run.output.unlink()
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("batch_size", [7, None])
@pytest.mark.parametrize("stage", ["ingest", "sink"])
def test_ends_that_die_or_freeze_are_replaced(
    settings_for: SettingsFor,
    lose: Lose,
    stage: str,
    number: signal.Signals,
    batch_size: int | None,
) -> None:
    """Twice in a run: the result is the monolith's, and the report tells."""
    run = settings_for(DATA * 40, 10)
    whole = expected(run)
    assert all(whole)  # some events are rejected, too
    limits = None if batch_size is None else BatchLimits(batch_size)

    report = SplitEngine(
        recovery=SOON, on_message=struck(lose, stage, number, 0, 3)
    ).run(replace(run, limits=limits))

    assert files(run) == whole
    assert report.stages[stage].last_loss.startswith("at batch ")
    # A frozen sink may have been sent both batches before that is noticed.
    assert 1 <= report.stages[stage].recoveries <= 2
    assert not list(run.output.parent.glob(".*.partial"))


def test_the_sink_and_another_server_may_be_lost_at_once(
    settings_for: SettingsFor, lose: Lose
) -> None:
    """The run begins again with another one of each."""
    run = settings_for(DATA * 40, 10)
    whole = expected(run)
    due = deque(["sink", "ingest", "aggregate"])

    def strike(stage: str, _: object, __: Batch, ___: int) -> None:
        while stage == "sink" and due:
            lose(due.popleft(), signal.SIGKILL)

    report = SplitEngine(on_message=strike).run(run)

    assert files(run) == whole
    assert report.stages["sink"].recoveries == 1


def test_a_sink_that_was_started_elsewhere_is_connected_to_again(
    settings_for: SettingsFor, tmp_path: Path
) -> None:
    """Once it is back, the run begins again."""
    run = settings_for(DATA * 40, 10)
    whole = expected(run)
    due = deque([0])

    with StageServers(EVENTS.name, ["sink"], folders={"sink": [tmp_path]}) as servers:
        (address,) = servers.addresses["sink"]

        def strike(stage: str, _: object, batch: Batch, __: int) -> None:
            if due and (stage, batch.number) == ("sink", due[0]):
                due.popleft()
                servers.replace(address)

        report = SplitEngine({"sink": address}, on_message=strike).run(run)

    assert files(run) == whole
    assert report.stages["sink"].recoveries == 1


@pytest.mark.parametrize("name", ["work-items", "mixed", "access_logs:ACCESS_LOGS"])
@pytest.mark.parametrize("stage", ["ingest", "sink"])
def test_every_source_that_gives_the_same_again_is_read_again(
    new_run: NewRun,
    lose: Lose,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    stage: str,
) -> None:
    """Also those that make their records."""
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLE))
    # With credit for the first batch only, ingest has more to send.
    run = new_run(name, checkpoint=None, limits=None)
    whole = expected(run)

    report = SplitEngine(on_message=struck(lose, stage, signal.SIGKILL, 0)).run(run)

    assert files(run) == whole
    assert report.stages[stage].recoveries == 1


def test_a_run_from_a_checkpoint_replaces_ingest_too(
    new_run: NewRun, lose: Lose
) -> None:
    """The position is counted from the start of the whole run."""
    run = new_run("events", limits=None, checkpoint_batches=1)
    whole = expected(replace(run, checkpoint=None))

    def fail(settled: int) -> None:
        if settled >= 2:
            raise StageError("no luck")

    with pytest.raises(StageError, match="no luck"):
        SplitEngine().run(replace(run, on_progress=fail))
    strike = struck(lose, "ingest", signal.SIGKILL, 1)
    report = SplitEngine(on_message=strike).run(run)

    assert files(run) == whole
    assert report.resumed_records > 0
    assert report.stages["ingest"].recoveries == 1


@pytest.mark.parametrize("stage", ["ingest", "sink"])
def test_what_can_be_read_only_once_fails_with_the_server(
    settings_for: SettingsFor, lose: Lose, stage: str
) -> None:
    """In one line; the earlier result stays, and no draft."""
    run = settings_for(b"")
    Path(run.input).unlink()
    os.mkfifo(run.input)
    run.output.write_bytes(b"earlier")
    writer = os.open(run.input, os.O_RDWR)
    try:
        os.write(writer, DATA)
        with pytest.raises(LostStageError) as raised:
            SplitEngine().run(
                replace(run, on_progress=lambda _: lose(stage, signal.SIGKILL))
            )
    finally:
        os.close(writer)

    assert str(raised.value).startswith(f"stage {stage} at unix:")
    assert str(raised.value).endswith("is lost: ended by SIGKILL")
    assert run.output.read_bytes() == b"earlier"
    assert not list(run.output.parent.glob(".*.partial"))


def test_a_frozen_source_that_answers_no_health_check_is_lost(
    settings_for: SettingsFor, lose: Lose
) -> None:
    """It would make the run wait for ever. Its source may: then it is healthy."""
    run = settings_for(b"")
    Path(run.input).unlink()
    os.mkfifo(run.input)
    writer = os.open(run.input, os.O_RDWR)
    try:
        os.write(writer, DATA)
        frozen = replace(run, on_progress=lambda _: lose("ingest", signal.SIGSTOP))
        with pytest.raises(
            LostStageError, match=r"stage ingest at .* is lost: it hangs"
        ):
            SplitEngine(recovery=Recovery(stage_timeout_s=0.2)).run(frozen)
    finally:
        os.close(writer)


@pytest.mark.parametrize("stage", ["ingest", "sink"])
def test_a_file_that_has_changed_is_not_read_again(
    settings_for: SettingsFor, lose: Lose, stage: str
) -> None:
    """Some records would be of the old file and some of the new one."""
    run = settings_for(DATA * 40, 10)
    run.output.write_bytes(b"earlier")

    def change_and_strike(_: int) -> None:
        with Path(run.input).open("ab") as file:
            file.write(b"{}\n")
        lose(stage, signal.SIGKILL)

    with pytest.raises(SourceError, match="has changed while it was read"):
        SplitEngine().run(replace(run, on_progress=change_and_strike))

    assert run.output.read_bytes() == b"earlier"


def test_a_sink_that_is_lost_each_time_fails_the_run(
    settings_for: SettingsFor, lose: Lose
) -> None:
    """After as many retries as there may be; the error counts the losses."""
    run = settings_for(DATA, 100, on_progress=lambda _: lose("sink", signal.SIGKILL))
    run.output.write_bytes(b"earlier")

    with pytest.raises(LostStageError, match=r"SIGKILL; lost 3 times in a row$"):
        SplitEngine(recovery=Recovery(retries=2)).run(run)

    assert run.output.read_bytes() == b"earlier"


@pytest.mark.parametrize(
    ("paths", "can_be"),
    [
        (["in"], True),
        (["in", "in2"], True),
        (["in", "-"], False),
        (["pipe"], False),
        (["in", "memory://in"], False),
        (["nowhere"], False),
        ([], True),
    ],
)
def test_only_files_and_made_records_can_be_read_again(
    settings_for: SettingsFor, tmp_path: Path, paths: list[str], can_be: bool
) -> None:
    """All of the inputs must be such."""
    run = settings_for(DATA)
    for name in ("in", "in2"):
        (tmp_path / name).write_bytes(DATA)
    os.mkfifo(tmp_path / "pipe")
    joined = joined_paths(
        path if path == "-" or "://" in path else str(tmp_path / path) for path in paths
    )

    assert (Rereading.of(replace(run, input=joined)) is not None) is can_be


def test_a_source_that_does_not_say_that_it_can_is_not_read_again(
    settings_for: SettingsFor,
) -> None:
    """A user's source may read from a queue."""
    run = settings_for(DATA)
    source = replace(run.workload.source, repeatable=False)

    workload = replace(run.workload, source=source)

    assert Rereading.of(replace(run, workload=workload)) is None


class FakeIngest:
    """A leg to one server of ingest, which sends these batches or is lost."""

    def __init__(self, *sends: int | LostStageError) -> None:
        self._sends = deque(sends)

    def awaited(self) -> int:
        """Return that it waits."""
        return 0

    async def receive(self) -> InFlightBatch | None:
        """Return the next batch."""
        if not self._sends:
            return None
        sent = self._sends.popleft()
        if isinstance(sent, LostStageError):
            raise sent
        return InFlightBatch(Batch(number=sent), first_record=sent, ingested=1)


LOST = LostStageError(
    "stage ingest at unix:i is lost: ended by SIGKILL", "ended by SIGKILL"
)


class Ingests:
    """Servers of ingest that follow each other, and the pauses between them."""

    def __init__(self, *ingests: FakeIngest | StageError, retries: int = 5) -> None:
        self._next_ones = deque(ingests)
        self.pauses: list[float] = []
        self.waits: list[int | None] = []
        self.reasons: list[str] = []
        first = cast("IngestLeg", self._next_ones.popleft())
        self.leg = RecoveringIngest(first, self._reopen, retries, self._sleep)

    async def _reopen(self, reason: str) -> IngestLeg:
        self.reasons.append(reason)
        self.waits.append(self.leg.awaited())
        found = self._next_ones.popleft()
        if isinstance(found, StageError):
            raise found
        return cast("IngestLeg", found)

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def read(self) -> list[int]:
        """Return the numbers of all batches."""

        async def read() -> list[int]:
            numbers = []
            while (batch := await self.leg.receive()) is not None:
                numbers.append(batch.message.number)
            return numbers

        return asyncio.run(read())


def test_pauses_between_servers_of_ingest_grow_until_there_is_a_batch() -> None:
    """And the watchdog is told of no wait meanwhile, which would kill the next one."""
    ingests = Ingests(
        FakeIngest(0, LOST),
        StageError("nobody answers"),
        FakeIngest(LOST),
        FakeIngest(1, LOST),
        FakeIngest(2),
    )

    assert ingests.read() == [0, 1, 2]
    assert ingests.pauses == pytest.approx([0.1, 0.4, 1.6, 0.1])
    assert ingests.waits == [None] * 4
    assert ingests.reasons == [LOST.reason, "nobody answers", LOST.reason, LOST.reason]
    assert ingests.leg.awaited() == 0


def test_an_ingest_that_is_lost_too_often_says_how_often() -> None:
    """Without retries, it says only why it is lost."""
    gone = StageError("stage ingest: nobody answers at unix:i")

    with pytest.raises(LostStageError, match=r"at unix:i; lost 2 times in a row$"):
        Ingests(FakeIngest(LOST), gone, retries=1).read()
    with pytest.raises(LostStageError, match=r"ended by SIGKILL$"):
        Ingests(FakeIngest(LOST), retries=0).read()


class FakeGrant:
    """Takes credit."""

    def __init__(self) -> None:
        self.credits: list[Credit] = []

    async def send(self, message: bytes) -> None:
        """Note it."""
        self.credits.append(Credit.FromString(message))


class FakeChannel:
    """Begins a call that takes credit."""

    def __init__(self) -> None:
        self.grant = FakeGrant()

    def call(self, method: object) -> Call:
        """Begin the call."""
        assert method == GRANT
        return cast("Call", self.grant)


def test_another_ingest_gets_the_credit_that_is_left() -> None:
    """It counts from its own call, and is never left without credit for a batch."""
    first, second = FakeChannel(), FakeChannel()
    pacer = Pacer(cast("Channel", first), servers=1)
    run = pacer.run

    async def scene() -> None:
        await pacer.open()
        await pacer.settle()
        await pacer.reopen(cast("Channel", second), 1)

    asyncio.run(scene())

    assert first.grant.credits[0].run == run
    (left,) = second.grant.credits[:1]
    assert left.run == pacer.run != run
    assert left.batches >= 1
    # One is settled. One for the server and four more may be in flight.
    assert left.batches == max(first.grant.credits[-1].batches, 1 + 1 + 4) - 1
