"""Latency of records that arrive at a fixed rate."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.empty_pb2 import Empty

from pipeline.batching import BatchLimits
from pipeline.engines.monolith import MonolithEngine
from pipeline.errors import FunctionError, SourceError, UsageError
from pipeline.inputs import Inputs
from pipeline.stages import Output, stage
from pipeline.v1.events_pb2 import Events
from pipeline.v1.lines_pb2 import Lines
from pipeline.v1.pipeline_pb2 import Rejection
from pipeline.workloads.events import EVENTS
from pytest_pipeline.measure.references.arrivals import (
    Arrivals,
    ArrivingSource,
    arrivals_of,
)
from pytest_pipeline.measure.results import Latency, Percentiles
from tests.clock import StandingClock
from tests.measure.references.conftest import EACH_WORKLOAD, Serve, SettingsOf


def arriving(
    clock: StandingClock, batches: list[Output[Lines]], rate_per_s: float
) -> ArrivingSource:
    """Return a source that waits by advancing the clock."""

    def wait(seconds: float) -> bool:
        clock.now += seconds
        return False

    return ArrivingSource(batches, rate_per_s, clock, wait)


def times(source: ArrivingSource, clock: StandingClock, service_s: float) -> Latency:
    """Process the batches one at a time, each in ``service_s`` seconds."""
    sent, answered = [], []
    for _ in source.read(Empty(), BatchLimits(), 0, Inputs()):
        sent.append(clock.now - source.began)
        clock.now += service_s
        answered.append(clock.now - source.began)
    return Arrivals(10.0, source.records, sent, answered).latency


def approx(p50: float, p99: float, p999: float) -> object:
    """Return an object that equals about these percentiles."""
    values: list[Any] = [pytest.approx(value) for value in (p50, p99, p999)]
    return Percentiles(*values)


def test_latency_begins_when_a_record_is_due() -> None:
    """Filling ends when the batch's last record is due, queueing when it is sent."""
    arrivals = Arrivals(
        rate_per_s=10.0, records=[2, 1], sent=[0.15, 0.2], answered=[0.25, 0.5]
    )

    latency = arrivals.latency

    assert latency.rate_per_s == 10.0
    assert latency.total == approx(0.25, 0.3, 0.3)
    assert latency.filling == approx(0.0, 0.1, 0.1)
    assert latency.queueing == approx(0.05, 0.05, 0.05)
    assert latency.service == approx(0.1, 0.3, 0.3)
    assert arrivals.achieved_per_s == pytest.approx(6.0)


def test_percentiles_are_of_records_and_not_of_batches() -> None:
    """A large batch weighs as much as its records."""
    arrivals = Arrivals(
        1000.0, records=[990, 9, 1], sent=[1.0] * 3, answered=[2.0, 3.0, 4.0]
    )

    assert arrivals.latency.service == approx(1.0, 1.0, 2.0)


def test_the_first_tenth_of_the_batches_is_left_out() -> None:
    """A tenth of the batches is left out, with all of its records."""
    slow, quick = [9.0] * 2, [1.0] * 18
    records = [5, 4] + [1] * 18
    arrivals = Arrivals(1.0, records, sent=[0.0] * 20, answered=slow + quick)

    assert arrivals.latency.service == approx(1.0, 1.0, 1.0)


def test_a_batch_comes_when_its_last_record_is_due() -> None:
    """Records that the source rejected or filtered have been due too."""
    clock = StandingClock()
    clock.now = 100.0
    batches = [
        Output(Lines(), 2),
        Output(Lines(), 0, filtered=1),
        Output(Lines(), 1, rejections=[Rejection(record=4)]),
    ]
    source = arriving(clock, batches, rate_per_s=10.0)

    came = [
        (batch, clock.now) for batch in source.read(Empty(), BatchLimits(), 0, Inputs())
    ]

    assert source.records == [2, 1, 2]
    assert [batch for batch, _ in came] == batches
    assert [now for _, now in came] == pytest.approx([100.1, 100.2, 100.4])


def test_nothing_queues_before_a_quick_stage() -> None:
    """A batch then waits only for its records."""
    clock = StandingClock()
    source = arriving(clock, [Output(Lines(), 10)] * 50, rate_per_s=10.0)

    latency = times(source, clock, service_s=0.5)

    assert latency.queueing == approx(0.0, 0.0, 0.0)
    assert latency.service == approx(0.5, 0.5, 0.5)


def test_arrivals_do_not_wait_for_a_slow_stage() -> None:
    """The queue grows with each batch, and is not counted as service."""
    clock = StandingClock()
    source = arriving(clock, [Output(Lines(), 10)] * 50, rate_per_s=10.0)

    latency = times(source, clock, service_s=1.5)

    # Each batch is 1 s of arrivals, and so adds half a second to the queue.
    assert latency.queueing == approx(0.5 * 27, 0.5 * 49, 0.5 * 49)
    assert latency.service == approx(1.5, 1.5, 1.5)
    assert latency.total.p999 == pytest.approx(0.5 * 49 + 1.5 + 0.9)


def test_a_source_ends_with_the_run() -> None:
    """It stops waiting if the run is over."""
    source = ArrivingSource(
        [Output(Lines(), 1)] * 3, 1.0, StandingClock(), lambda _: True
    )

    assert len(list(source.read(Empty(), BatchLimits(), 0, Inputs()))) == 1


@EACH_WORKLOAD
def test_every_record_of_a_run_has_its_latency(
    settings_of: SettingsOf, serve: Serve, workload: str
) -> None:
    """A run on servers that are already up has latencies and the usual result."""
    run = settings_of(workload, 30)
    addresses = serve(run.workload)

    arrivals = arrivals_of(
        run.workload,
        run.source,
        rate_per_s=5000.0,
        batch_size=30,
        records=200,
        addresses={
            stage.name: addresses[stage.name] for stage in run.workload.transforms
        },
    )

    MonolithEngine().run(replace(run, max_records=200))
    assert arrivals.result == run.output.read_bytes()
    assert list(arrivals.records) == [30] * 6 + [20]
    full = [(30 * number - 1) / 5000 for number in range(1, 7)] + [199 / 5000]
    for due, sent, answered in zip(full, arrivals.sent, arrivals.answered, strict=True):
        assert due <= sent < answered
    latency = arrivals.latency
    assert 0 < arrivals.achieved_per_s <= 5000
    assert latency.filling.p999 == pytest.approx(29 / 5000)
    for part in (latency.filling, latency.queueing, latency.service):
        assert 0 <= part.p50 <= part.p99 <= part.p999 <= latency.total.p999


def test_a_run_that_fails_does_not_wait_for_later_records(
    settings_of: SettingsOf, serve: Serve
) -> None:
    """It ends at once with the error of its stage."""

    def parse(lines: Lines) -> Output[Events]:
        raise ZeroDivisionError(f"no luck with {lines.first_record}")

    run = settings_of("events", 1)
    broken = replace(
        run.workload, transforms=(stage(parse), *run.workload.transforms[1:])
    )

    with pytest.raises(FunctionError, match=r"stage parse: batch 0, .* no luck with 1"):
        arrivals_of(
            broken,
            run.source,
            rate_per_s=1 / 3600,
            batch_size=1,
            records=2,
            addresses={"parse": serve(broken)["parse"]},
        )


@pytest.mark.parametrize("rate_per_s", [0.0, -1.0, math.inf, math.nan])
def test_an_impossible_rate_is_refused(
    settings_of: SettingsOf, rate_per_s: float
) -> None:
    """The rate must be finite and above 0."""
    with pytest.raises(UsageError, match=f"rate {rate_per_s}: must be a finite"):
        arrivals_of(
            EVENTS,
            settings_of("events", 1).source,
            rate_per_s=rate_per_s,
            batch_size=1,
            records=1,
        )


def test_runs_that_can_not_be_measured_are_refused(settings_of: SettingsOf) -> None:
    """There must be a transform stage and records, and no address of ingest or sink."""
    run = settings_of("events", 1, records=0)

    with pytest.raises(UsageError, match="stage 'sink': only the servers of parse,"):
        arrivals_of(
            EVENTS,
            run.source,
            rate_per_s=1.0,
            batch_size=1,
            records=1,
            addresses={"sink": "unix:/nowhere"},
        )
    with pytest.raises(SourceError, match="no records"):
        arrivals_of(EVENTS, run.source, rate_per_s=1.0, batch_size=1, records=1)
