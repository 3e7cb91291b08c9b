"""Checks of what the sink publishes: the result of a whole run, and its summary."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis.errors import FlakyFailure

from pipeline.v1.pipeline_pb2 import WriteSummary
from pytest_pipeline.conformance.check import check, is_told_a_folder
from pytest_pipeline.conformance.errors import Violation
from pytest_pipeline.conformance.sink_under_test import (
    SinkRun,
    SinkUnderTest,
    content_at,
    summary_of,
    target,
)
from pytest_pipeline.conformance.unusual import UNKNOWN_FIELDS, unusual_type_urls
from pytest_pipeline.invariance.partitioned_stream import difference
from pytest_pipeline.invariance.search import quiet_search
from pytest_pipeline.records.streams import Partition, Stream
from pytest_pipeline.strategies import partitions, streams

_SIZES = (1, 9, 30, 2)
_EXAMPLES = 50


@check("sink.result", is_told_a_folder)
async def result(stage: SinkUnderTest) -> None:
    """The result must be what one process writes, byte for byte, however the records
    are cut into batches.
    """
    records = len(stage.sample)
    for partition in ((records,), _SIZES, (1,) * records):
        await _check_result(stage, stage.run(partition))


@check("sink.any-records", is_told_a_folder)
def any_records(stage: SinkUnderTest) -> None:
    """What holds for the sample must hold for records of every kind that the workload
    knows, and for every partition.
    """

    # The same examples in every run, so that a verdict can be repeated.
    @quiet_search(_EXAMPLES, derandomize=True)
    @given(streams(stage.workload, stage.data), partitions())
    def same(stream: Stream, partition: Partition) -> None:
        asyncio.run(_check_result(stage, stage.run_of(stream, partition)))

    try:
        same()
    except Violation as violation:
        raise Violation(str(violation)) from None
    except FlakyFailure as flaky:
        raise Violation(
            f"the same run is not written the same each time: {flaky.exceptions[0]}"
        ) from None


@check("sink.empty-run", is_told_a_folder)
async def empty_run(stage: SinkUnderTest) -> None:
    """A source may be empty, and the run still has a result: the one of no records."""
    accumulator = stage.workload.new_result()
    await _check_result(stage, SinkRun((), accumulator.records, accumulator.finish()))


@check("sink.summary", is_told_a_folder)
async def summary(stage: SinkUnderTest) -> None:
    """The run report shows what the sink has counted and published, so its counts must
    be those of the result.
    """
    run = stage.run(_SIZES)
    with stage.result_path() as path:
        found = await stage.write_well(run.steps(path))
        size = len(content_at(path) or b"")
    wanted = {
        "batches": len(run.batches),
        "records": run.records,
        "result_bytes": size,
    }
    _check_summary(wanted, found)


@check("sink.replaces", is_told_a_folder)
async def replaces(stage: SinkUnderTest) -> None:
    """A run is repeated with the same target, so a new result must replace the earlier
    one, even one that is longer.
    """
    run = stage.run(_SIZES)
    with stage.result_path() as path:
        path.write_bytes(run.result * 2 + b"earlier\n")
        await stage.write_well(run.steps(path))
        _check_content(run, content_at(path))


@check("sink.two-at-once", is_told_a_folder)
async def two_at_once(stage: SinkUnderTest) -> None:
    """Two runs may share a server at once, and each must get its own result."""
    runs = (stage.run((5,)), stage.run(_SIZES))
    with stage.result_path() as path, stage.result_path() as other_path:
        async with stage.call() as one, stage.call() as other:
            calls = ((one, runs[0], path), (other, runs[1], other_path))
            for call, _, place in calls:
                await call.send(target(place))
            for turn in range(max(len(run.batches) for run in runs)):
                for call, run, _ in calls:
                    for step in run.writes[turn : turn + 1]:
                        await call.send(step)
            # The last first, so that neither waits for the other.
            for call, run, place in reversed(calls):
                await call.send(run.commit())
                await call.half_close()
                try:
                    summary_of(await call.rest())
                    _check_content(run, content_at(place))
                except Violation as violation:
                    raise Violation(f"of two open runs: {violation}") from None


@check("sink.type-url", is_told_a_folder)
async def type_url(stage: SinkUnderTest) -> None:
    """Languages write different hosts into a type URL, so only the part after the last
    slash counts.
    """
    for url in unusual_type_urls(stage.workload.result_takes):
        run = stage.run((5,))
        for batch in run.batches:
            batch.payload.type_url = url
        await _check_result(stage, run, f"with payloads of type {url}: ")


@check("sink.unknown-fields", is_told_a_folder)
async def unknown_fields(stage: SinkUnderTest) -> None:
    """The contract grows by new fields, so a sink must accept fields that it does not
    know.
    """
    run = stage.run((5,))
    for batch in run.batches:
        batch.payload.value += UNKNOWN_FIELDS
    await _check_result(stage, run, "with unknown fields: ", UNKNOWN_FIELDS)


async def _check_result(
    stage: SinkUnderTest, run: SinkRun, when: str = "", added: bytes = b""
) -> None:
    """Raise Violation unless the result of a run is published.

    Args:
        stage: the sink.
        run: the run.
        when: begins the error.
        added: bytes to add to each request.
    """
    with stage.result_path() as path:
        steps = [step.SerializeToString() + added for step in run.steps(path)]
        try:
            await stage.write_well(steps if added else run.steps(path))
            _check_content(run, content_at(path))
        except Violation as violation:
            raise Violation(f"{when}{violation}") from None


def _check_content(run: SinkRun, found: bytes | None) -> None:
    if found is None:
        raise Violation("the run was committed, and there is no result")
    if found != run.result:
        shown = difference(run.result, found, ("must be ", "is "))
        raise Violation(f"the result of {len(run.batches)} batches differs{shown}")


def _check_summary(wanted: dict[str, int], found: WriteSummary) -> None:
    for name, value in wanted.items():
        said = getattr(found, name)
        if said != value:
            raise Violation(f"the summary has {name} {said}, and must have {value}")


CHECKS = (
    result,
    any_records,
    empty_run,
    summary,
    replaces,
    two_at_once,
    type_url,
    unknown_fields,
)
