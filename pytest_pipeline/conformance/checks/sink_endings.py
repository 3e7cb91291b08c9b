"""Checks of runs that are not whole: what the sink refuses, and what it leaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc

from pipeline.v1.pipeline_pb2 import Batch, WriteRequest
from pytest_pipeline.conformance.check import check, is_told_a_folder
from pytest_pipeline.conformance.errors import Violation
from pytest_pipeline.conformance.sink_under_test import (
    SinkRun,
    SinkUnderTest,
    begun,
    content_at,
    target,
)
from pytest_pipeline.conformance.unusual import UNDECODABLE, UNKNOWN_TYPE

# More than the threads of a server, by the default of gRPC or of this project.
_CANCELLED = 80
_POLL_S = 0.01
_EARLIER = b"an earlier result\n"
_PARTITION = (4, 4, 4)


@dataclass(frozen=True)
class _Ending:
    """A way in which a run ends that is not whole."""

    what: str
    #: Returns the steps, for a run of three batches or more and the path of the target.
    steps: Callable[[SinkRun, Path], Sequence[WriteRequest]]
    #: The status that the stream must end with; None for any but OK.
    code: grpc.StatusCode | None = grpc.StatusCode.INVALID_ARGUMENT
    #: Whether the call is cancelled after the steps.
    is_cancelled: bool = False


_TARGET_FIRST = (
    _Ending("a batch before the target", lambda run, _: [*run.writes, run.commit()]),
    _Ending("a commit before the target", lambda run, _: [run.commit()]),
    _Ending("no target", lambda _, __: [], None),
    _Ending(
        "a second target",
        lambda run, path: [target(path), run.writes[0], *run.steps(path)],
    ),
)
_ORDER = (
    _Ending(
        "a gap in the numbers of the batches",
        lambda run, path: [target(path), run.writes[0], *run.writes[2:], run.commit()],
    ),
    _Ending(
        "a batch sent twice",
        lambda run, path: [target(path), run.writes[0], *run.writes, run.commit()],
    ),
    _Ending(
        "a first batch that is not number 0",
        lambda run, path: [target(path), *run.writes[1:], run.commit()],
    ),
)
_COUNTS = (
    _Ending(
        "a commit of a batch too many",
        lambda run, path: [target(path), *run.writes, run.commit(batches=1)],
        grpc.StatusCode.DATA_LOSS,
    ),
    _Ending(
        "a commit of a batch too few",
        lambda run, path: [target(path), *run.writes, run.commit(batches=-1)],
        grpc.StatusCode.DATA_LOSS,
    ),
    _Ending(
        "a commit of a record too many",
        lambda run, path: [target(path), *run.writes, run.commit(records=1)],
        grpc.StatusCode.DATA_LOSS,
    ),
    _Ending(
        "a commit of a record too few",
        lambda run, path: [target(path), *run.writes, run.commit(records=-1)],
        grpc.StatusCode.DATA_LOSS,
    ),
)
_ENVELOPE = (
    _Ending(
        "a record more in the envelope of a batch, and in the commit",
        lambda run, path: [
            target(path),
            _changed(run.batches[0], records=run.batches[0].records + 1),
            *run.writes[1:],
            run.commit(records=1),
        ],
        grpc.StatusCode.DATA_LOSS,
    ),
)
_NO_COMMIT = (
    _Ending(
        "a half-close without a commit",
        lambda run, path: [target(path), *run.writes],
        None,
    ),
    _Ending("a half-close after the target", lambda _, path: [target(path)], None),
)
_UNDECODABLE = (
    _Ending(
        "a payload that does not decode",
        lambda run, path: _with_last(run, path, value=UNDECODABLE),
    ),
)
_UNKNOWN_TYPE = (
    _Ending(
        "a payload of type nobody.knows.This",
        lambda run, path: _with_last(run, path, type_url=UNKNOWN_TYPE),
    ),
    _Ending(
        "a batch without payload",
        lambda run, path: _with_last(run, path, type_url="", value=b""),
    ),
)
_CANCEL = _Ending(
    "a call that is cancelled",
    lambda run, path: [target(path), *run.writes],
    is_cancelled=True,
)
_ALL = (
    *(*_TARGET_FIRST, *_ORDER, *_COUNTS, *_ENVELOPE),
    *(*_NO_COMMIT, *_UNDECODABLE, *_UNKNOWN_TYPE, _CANCEL),
)


@check("sink.target-first", is_told_a_folder)
async def target_first(stage: SinkUnderTest) -> None:
    """A sink that guesses where the result goes may overwrite another one, so the
    target comes first, once.
    """
    await _check_refused(stage, _TARGET_FIRST)


@check("sink.order", is_told_a_folder)
async def order(stage: SinkUnderTest) -> None:
    """A batch that is lost or comes twice changes the result, so batches must have the
    numbers from 0 without gaps.
    """
    await _check_refused(stage, _ORDER)


@check("sink.after-commit", is_told_a_folder)
async def after_commit(stage: SinkUnderTest) -> None:
    """The commit is the end of a run, so a batch after it must not get into the result:
    either it is ignored, or nothing is published.
    """
    run = stage.run(_PARTITION)
    late = _changed(run.batches[0], number=len(run.batches))
    for last in (late, run.commit(), target("elsewhere")):
        with stage.result_path() as path:
            path.write_bytes(_EARLIER)
            ended = await stage.write([*run.steps(path), last])
            is_ok = ended.code is grpc.StatusCode.OK
            if content_at(path) != (run.result if is_ok else _EARLIER):
                raise Violation(
                    f"a {last.WhichOneof('step')} was sent after the commit; the "
                    f"stream ended with {ended.status}, and the file is neither the "
                    f"result before it nor the earlier one, as the status says"
                )


@check("sink.commit-counts", is_told_a_folder)
async def commit_counts(stage: SinkUnderTest) -> None:
    """A result that lacks a batch or a record must not be published, so a commit with
    other counts ends with DATA_LOSS.
    """
    await _check_refused(stage, _COUNTS)


@check("sink.counts-payloads", is_told_a_folder)
async def counts_payloads(stage: SinkUnderTest) -> None:
    """A stage that loses records may still announce them in its envelopes, so the sink
    must count the records in the payloads.
    """
    await _check_refused(stage, _ENVELOPE)


@check("sink.no-commit", is_told_a_folder)
async def no_commit(stage: SinkUnderTest) -> None:
    """A run that fails half-closes without a commit, and must not be taken for a whole
    one.
    """
    await _check_refused(stage, _NO_COMMIT)


@check("sink.undecodable", is_told_a_folder)
async def undecodable(stage: SinkUnderTest) -> None:
    """Bytes that do not decode are the sender's fault, and must not stop the server."""
    await _check_refused(stage, _UNDECODABLE)
    await stage.check_serving()


@check("sink.unknown-type", is_told_a_folder)
async def unknown_type(stage: SinkUnderTest) -> None:
    """A sink that is wired wrongly must not guess, and INVALID_ARGUMENT shows that the
    sender is at fault.
    """
    await _check_refused(stage, _UNKNOWN_TYPE)


@check("sink.cancel", is_told_a_folder)
async def cancel(stage: SinkUnderTest) -> None:
    """Runs are interrupted, and the streams that they abandon must not exhaust the
    server.
    """
    run = stage.run(_PARTITION)
    with stage.result_path() as path:
        async with stage.server.aio_channel() as channel:
            for _ in range(_CANCELLED):
                call = stage.open(channel)
                try:
                    await call.send(target(path))
                    await call.send(run.writes[0])
                finally:
                    await call.give_up()
        try:
            await stage.check_serving()
        except Violation as violation:
            raise Violation(
                f"after {_CANCELLED} streams were cancelled: {violation}"
            ) from None


@check("sink.nothing-published", is_told_a_folder)
async def nothing_published(stage: SinkUnderTest) -> None:
    """Whoever finds a result takes it for a whole one, so a run that is not whole must
    publish nothing.
    """
    for ending in _ALL:
        with stage.result_path() as path:
            await _end(stage, ending, path)
            if path.exists():
                raise Violation(f"after {ending.what}, there is a result")


@check("sink.earlier-kept", is_told_a_folder)
async def earlier_kept(stage: SinkUnderTest) -> None:
    """An earlier result is better than none, so a run that is not whole must leave it
    as it was, byte for byte.
    """
    for ending in _ALL:
        with stage.result_path() as path:
            path.write_bytes(_EARLIER)
            await _end(stage, ending, path)
            if content_at(path) != _EARLIER:
                raise Violation(f"after {ending.what}, an earlier result has changed")


@check("sink.no-draft", is_told_a_folder)
async def no_draft(stage: SinkUnderTest) -> None:
    """Runs fail again and again, so none may leave a draft behind in the folder of the
    result.
    """
    for ending in _ALL:
        with stage.result_path() as path:
            await _end(stage, ending, path)
            deadline = time.monotonic() + stage.timeout_s
            while left := [found.name for found in path.parent.iterdir()]:
                if time.monotonic() > deadline:
                    raise Violation(f"after {ending.what}, {left[0]} is left behind")
                await asyncio.sleep(_POLL_S)


async def _check_refused(stage: SinkUnderTest, endings: Sequence[_Ending]) -> None:
    for ending in endings:
        with stage.result_path() as path:
            code, status = await _end(stage, ending, path)
        if ending.code is None and code is grpc.StatusCode.OK:
            raise Violation(f"{ending.what} must not end with OK")
        if ending.code not in (None, code):
            raise Violation(
                f"{ending.what} must be refused with {ending.code.name}; the stream "
                f"ended with {status}"
            )


async def _end(
    stage: SinkUnderTest, ending: _Ending, path: Path
) -> tuple[grpc.StatusCode, str]:
    """End a run; return the code and the status of the stream."""
    steps = ending.steps(stage.run(_PARTITION), path)
    if not ending.is_cancelled:
        ended = await stage.write(steps)
        return ended.code, ended.status
    before = len(list(path.parent.iterdir()))
    async with stage.call() as call:
        for step in steps:
            await call.send(step)
        await begun(path, before)
    return grpc.StatusCode.CANCELLED, "CANCELLED"


def _changed(batch: Batch, **fields: int) -> WriteRequest:
    """Return the step of a batch with other values of its fields."""
    request = WriteRequest(batch=batch)
    for name, value in fields.items():
        setattr(request.batch, name, value)
    return request


def _with_last(run: SinkRun, path: Path, **fields: str | bytes) -> list[WriteRequest]:
    """Return the steps of a run whose last payload has other values of its fields."""
    steps = run.steps(path)
    for name, value in fields.items():
        setattr(steps[-2].batch.payload, name, value)
    return steps


CHECKS = (
    target_first,
    order,
    after_commit,
    commit_counts,
    counts_payloads,
    no_commit,
    undecodable,
    unknown_type,
    cancel,
    nothing_published,
    earlier_kept,
    no_draft,
)
