"""Records that end each server of a stage are found and rejected."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, cast

import pytest

from pipeline.accounting import Progress, RunAccount
from pipeline.batching import BatchLimits
from pipeline.engines.base import RunSettings
from pipeline.engines.legs import InFlightBatch, TransformLeg
from pipeline.engines.monolith import MonolithEngine
from pipeline.engines.poison import Poison
from pipeline.engines.recovery import RecoveringLeg, Recovery
from pipeline.engines.split import SplitEngine
from pipeline.errors import LostStageError, StageError, UsageError
from pipeline.stages import Output, stage
from pipeline.transport import wire
from pipeline.v1.events_pb2 import Events
from pipeline.v1.lines_pb2 import Lines
from pipeline.v1.pipeline_pb2 import Batch
from pipeline.workload import Workload
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.generate import generate_events
from pipeline.workloads.lines import LINES
from tests.engines import poisonous
from tests.engines.conftest import SettingsFor
from tests.engines.fake_run import DiedError, no_sleep, play
from tests.engines.poisonous import POISONOUS
from tests.engines.test_recovery import FakeLeg, others_run, played

RECORDS = 100


def lines_with(deadly: Mapping[int, str]) -> list[bytes]:
    """Return lines, some malformed, of which those at some record numbers are deadly.

    Args:
        deadly: The name of the stage that a line ends, by record number.
    """
    lines = list(generate_events(RECORDS, seed=1, users=5, malformed=0.1))
    for record, name in deadly.items():
        event = {
            "ts": "2024-01-01T00:00:00Z",
            "type": "purchase",
            "user": f"kills-{name}",
            "value": 150,
        }
        lines[record - 1] = json.dumps(event, separators=(",", ":")).encode() + b"\n"
    return lines


def expected(
    settings_for: SettingsFor, lines: list[bytes], deadly: Mapping[int, str]
) -> tuple[bytes, list[dict[str, Any]]]:
    """Return the monolith's result without the deadly lines, and all rejections."""
    harmless = [line for at, line in enumerate(lines, 1) if at not in deadly]
    run = settings_for(b"".join(harmless), 1)
    MonolithEngine().run(run)
    result = run.output.read_bytes()
    MonolithEngine().run(settings_for(b"".join(lines), 1))
    crashes = [
        {"record": record, "stage": stage, "reason": "crashed_the_stage"}
        for record, stage in deadly.items()
    ]
    others = rejects_of(run)
    return result, sorted(others + crashes, key=lambda row: int(row["record"]))


def rejects_of(run: RunSettings) -> list[dict[str, Any]]:
    """Return the rejections that a run has written."""
    assert run.rejects is not None
    return [json.loads(line) for line in run.rejects.read_text().splitlines()]


@pytest.fixture(autouse=True)
def _die_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stage functions of this process raise instead of ending it."""

    def die() -> None:
        raise DiedError

    monkeypatch.setattr(poisonous, "die", die)


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("batch_size", [1, 7, RECORDS])
@pytest.mark.parametrize(
    "deadly",
    [
        {1: "parse"},
        {RECORDS: "parse"},
        {7: "parse", 8: "parse", 14: "parse"},
        dict.fromkeys(range(8, 15), "parse"),
        {3: "rules", 50: "rules"},
        {20: "parse", 21: "rules", 22: "parse", 90: "rules"},
        dict.fromkeys(range(1, RECORDS + 1, 3), "parse"),
    ],
    ids=["first", "last", "edges", "a whole batch", "rules", "both", "many"],
)
def test_deadly_records_are_rejected_and_all_others_are_as_in_the_monolith(
    settings_for: SettingsFor, deadly: dict[int, str], batch_size: int, replicas: int
) -> None:
    """The result, the rejects in their order, and the counts."""
    lines = lines_with(deadly)
    result, rejects = expected(settings_for, lines, deadly)
    run = settings_for(b"".join(lines), batch_size, workload=POISONOUS)

    done = play(run, max_poison=len(deadly), replicas=replicas)

    assert done.result == result
    assert rejects_of(run) == rejects
    for name in ("parse", "rules"):
        crashed_at = sorted(done.account.stages[name].crashed_at)
        assert crashed_at == [at for at, of in deadly.items() if of == name]


def test_a_whole_run_of_deadly_records_is_rejected(settings_for: SettingsFor) -> None:
    """The stages behind get an empty batch."""
    deadly = dict.fromkeys(range(1, RECORDS + 1), "parse")
    run = settings_for(b"".join(lines_with(deadly)), RECORDS, workload=POISONOUS)

    done = play(run, max_poison=RECORDS)

    assert done.account.rejections == {"crashed_the_stage": RECORDS}
    assert done.account.passed == 0


@pytest.mark.parametrize("replicas", [1, 2])
def test_one_deadly_record_more_than_allowed_fails_the_run(
    settings_for: SettingsFor, replicas: int
) -> None:
    """The error names the stage, the record and the option."""
    deadly = {20: "parse", 21: "rules", 70: "parse"}
    run = settings_for(b"".join(lines_with(deadly)), 10, workload=POISONOUS)

    with pytest.raises(StageError) as raised:
        play(run, max_poison=2, replicas=replicas)

    assert str(raised.value) == (
        "stage parse: record 70 ended each server that it was sent to, and "
        "--max-poison lets 2 be rejected for that"
    )


def test_deadly_records_of_earlier_attempts_at_a_run_count() -> None:
    """A run that resumes may reject no more than it might at first."""
    account = RunAccount(POISONOUS.stage_names)
    account.restore(Progress(3, 0, 28, {"crashed_the_stage": 2}))

    Poison(POISONOUS, account, 3).check("parse", [40])
    with pytest.raises(StageError, match="--max-poison lets 2 be rejected"):
        Poison(POISONOUS, account, 2).check("parse", [40])


def test_a_batch_is_cut_once_it_was_alone_with_two_servers_and_a_record_likewise(
    settings_for: SettingsFor,
) -> None:
    """Each half that ends a server is halved at once."""
    deadly = {3: "parse"}
    run = settings_for(b"".join(lines_with(deadly)), 8, workload=POISONOUS)

    done = play(run, max_poison=1)

    # With others in flight, alone twice, then 1 to 4, 3 and 4, 3 twice.
    assert done.deaths == [8, 8, 8, 4, 2, 1, 1]


def test_without_the_option_a_deadly_record_fails_the_run(
    settings_for: SettingsFor,
) -> None:
    """Nothing is cut: the batch is named."""
    run = settings_for(b"".join(lines_with({3: "parse"})), 8, workload=POISONOUS)

    with pytest.raises(StageError, match=r"6 times in a row at batch 0, from record 1"):
        play(run, max_poison=0)


def test_what_cannot_be_cut_fails_the_run_and_the_line_says_why(
    settings_for: SettingsFor,
) -> None:
    """A source or a stage without a cut, and records that nobody can number."""
    lines = lines_with({3: "parse", 4: "rules"})
    parse, rules, aggregate = POISONOUS.transforms
    whole = replace(POISONOUS, source=replace(LINES, cut=None))
    kept = replace(POISONOUS, transforms=(replace(parse, cut=None), rules, aggregate))

    for workload, reason in (
        (whole, "which can't be cut: ingest offers no cut of its messages"),
        (kept, "which can't be cut: parse offers no cut of its messages"),
    ):
        run = settings_for(b"".join(lines), 8, workload=workload)
        with pytest.raises(StageError) as raised:
            play(run, max_poison=1)
        assert str(raised.value).endswith(reason)
        assert "\n" not in str(raised.value)


def test_records_behind_a_filter_cannot_be_numbered() -> None:
    """So a batch of them is not cut."""
    account = RunAccount(EVENTS.stage_names)
    message = Batch(records=1)
    wire.pack(Events(), into=message.payload)
    batch = InFlightBatch(message, first_record=1, ingested=2, filtered=1)

    with pytest.raises(Exception, match="records were filtered before"):
        Poison(EVENTS, account, 1).search("rules", batch)


def test_a_cut_that_raises_fails_the_run_in_one_line(settings_for: SettingsFor) -> None:
    """It is the workload's own function."""

    def cut(*_: object) -> Lines:
        raise ZeroDivisionError("no luck")

    workload = replace(POISONOUS, source=replace(LINES, cut=cut))
    run = settings_for(b"".join(lines_with({3: "parse"})), 8, workload=workload)

    with pytest.raises(StageError, match="of ingest raised ZeroDivisionError: no luck"):
        play(run, max_poison=1)


def test_a_stage_that_ends_at_nothing_too_fails_the_run(
    settings_for: SettingsFor,
) -> None:
    """Rejecting all its records would not help."""

    def always(_: Lines) -> Output[Events]:
        raise DiedError

    transforms = (stage(always, "parse"), *POISONOUS.transforms[1:])
    workload = replace(POISONOUS, transforms=transforms)
    run = settings_for(b"".join(lines_with({})[:3]), 8, workload=workload)

    with pytest.raises(StageError, match="a batch without records ends each server"):
        play(run, max_poison=3)


class OneBatch:
    """The leg that has a batch of two lines, which ends servers as the test says."""

    def __init__(
        self, *servers: FakeLeg | StageError, workload: Workload = EVENTS
    ) -> None:
        self.account = RunAccount(EVENTS.stage_names)
        poison = Poison(workload, self.account, most=1)
        first, *self._next_ones = servers
        self.leg = RecoveringLeg(
            cast("TransformLeg", first),
            self._reopen,
            Recovery().retries,
            no_sleep,
            partial(poison.search, "parse"),
        )
        message = Batch(number=3, records=2)
        lines = Lines(first_record=1, text=b"a\nb\n")
        wire.pack(lines, into=message.payload)
        self.batch = InFlightBatch(message, first_record=1, ingested=2)

    async def _reopen(self, _: int | None, __: str) -> TransformLeg:
        found = self._next_ones.pop(0)
        if isinstance(found, StageError):
            raise found
        return cast("TransformLeg", found)

    async def start(self, tasks: asyncio.TaskGroup) -> asyncio.Task[Any]:
        """Send the batch, and begin to receive."""
        self.leg.start(tasks)
        await self.leg.send(self.batch, self.batch.message.SerializeToString())
        await self.leg.close()
        return asyncio.create_task(self.leg.receive())


UNCUT = replace(EVENTS, source=replace(LINES, cut=None))
LOST = LostStageError("stage parse at unix:p is lost: ended by SIGKILL")


def test_a_server_that_ends_before_it_is_sent_the_batch_does_not_count() -> None:
    """The batch was not what ended it."""
    first, second, third, fourth = servers = [FakeLeg() for _ in range(4)]
    one = OneBatch(*servers)

    async def scene(tasks: asyncio.TaskGroup) -> None:
        reading = await one.start(tasks)
        first.fail(LOST)
        third.fail(LOST)
        await others_run()
        second.fail(LOST)
        await others_run()
        assert (second.sent, third.sent, fourth.sent) == ([3], [], [3])
        fourth.answer()
        assert await reading is one.batch
        assert not one.batch.pieces

    played(scene)


def test_the_batch_goes_on_where_a_search_has_no_server_any_more() -> None:
    """To another replica, whole, and what was found is not counted."""
    deadly = [FakeLeg() for _ in range(5)]
    gone = [StageError("can't start it")] * Recovery().retries
    one = OneBatch(*deadly, *gone)

    async def scene(tasks: asyncio.TaskGroup) -> None:
        reading = await one.start(tasks)
        for leg in deadly:
            leg.fail(LOST)
            await others_run()
        with pytest.raises(LostStageError, match="can't start it"):
            await reading
        assert one.leg.take_unanswered() == deque([one.batch])
        assert one.leg.unanswered == 0
        assert one.account.stages["parse"].crashed_at == []

    played(scene)


def test_a_batch_that_was_answered_at_last_is_not_told_of_later() -> None:
    """That it can't be cut has nothing to do with how the run fails."""
    deadly, fourth = [FakeLeg() for _ in range(3)], FakeLeg()
    gone = [StageError("can't start it")] * Recovery().retries
    one = OneBatch(*deadly, fourth, *gone, workload=UNCUT)

    async def scene(tasks: asyncio.TaskGroup) -> None:
        reading = await one.start(tasks)
        for leg in deadly:
            leg.fail(LOST)
            await others_run()
        fourth.answer()
        assert await reading is one.batch
        fourth.fail(LOST)
        await one.leg.send(one.batch, one.batch.message.SerializeToString())
        with pytest.raises(LostStageError) as raised:
            await one.leg.receive()
        assert str(raised.value).endswith("in a row at batch 3, from record 1")

    played(scene)


def test_a_server_that_ends_between_two_pieces_is_replaced_for_the_rest() -> None:
    """Though nothing was sent to it, and no batch follows."""
    deadly = [FakeLeg() for _ in range(3)]
    fourth, fifth = FakeLeg(), FakeLeg()
    one = OneBatch(*deadly, fourth, fifth)

    async def scene(tasks: asyncio.TaskGroup) -> None:
        reading = await one.start(tasks)
        for leg in deadly:
            leg.fail(LOST)
            await others_run()
        fourth.answer()
        fourth.fail(LOST)
        await others_run()
        assert (fourth.sent, fifth.sent) == ([3], [3])
        fifth.answer()
        whole = await reading
        assert [piece.first_record for piece in whole.pieces] == [1, 2]
        await others_run()
        assert fifth.is_closed

    played(scene)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_poison": -1}, "max poison -1: must be 0 or more"),
        ({"max_poison": 1, "retries": 1}, "max poison 1: needs 2 retries or more"),
    ],
)
def test_a_limit_that_cannot_work_is_refused(
    options: dict[str, int], message: str
) -> None:
    """Before a server is started."""
    with pytest.raises(UsageError, match=message):
        Recovery(**options)


@pytest.mark.parametrize(
    ("batch_size", "replicas", "deadly"),
    [(2, 1, {8: "parse", 61: "rules"}), (None, 2, {50: "parse"})],
    ids=["two", "auto"],
)
def test_servers_that_end_at_deadly_records_are_replaced_until_those_are_found(
    settings_for: SettingsFor,
    batch_size: int | None,
    replicas: int,
    deadly: dict[int, str],
) -> None:
    """With processes, which end."""
    lines = lines_with(deadly)
    result, rejects = expected(settings_for, lines, deadly)
    run = settings_for(b"".join(lines), workload=POISONOUS)
    limits = None if batch_size is None else BatchLimits(batch_size)

    report = SplitEngine(
        replicas={"parse": replicas}, recovery=Recovery(max_poison=len(deadly))
    ).run(replace(run, limits=limits))

    assert run.output.read_bytes() == result
    assert rejects_of(run) == rejects
    assert report.rejections["crashed_the_stage"] == len(deadly)
    crashed_at = {
        record: name
        for name, account in report.stages.items()
        for record in account.crashed_at
    }
    assert crashed_at == deadly
