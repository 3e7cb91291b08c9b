"""What holds for the stage functions of a workload, and for its result, alone.

Each property takes a case and raises InvarianceError where it does not hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from google.protobuf.message import Message

from pipeline.stages import Output
from pipeline.workload import Workload
from pytest_pipeline.invariance.case import (
    Case,
    InvarianceError,
    applied,
    exact,
    is_columns,
    whole_of,
)
from pytest_pipeline.records.streams import shown


def check_cutting(case: Case, stage_name: str) -> None:
    """A stage function gives the same for any cutting of the stream.

    Counts and rejections are those of one batch; columns put end to end are its
    columns; and the result is its result.
    """
    stage, before, after = case.sides(stage_name)
    parts = case.outputs(before)
    whole = whole_of(parts) if parts else None
    if whole is None:
        # What the stages before make can't be put together: let them make it at once.
        uncut = Case(case.workload, case.stream, ()).outputs(before)
        if not uncut:
            return
        (whole,) = uncut
    once = applied(stage, whole.message)
    outputs = [applied(stage, part.message) for part in parts]
    for part, output in [(whole, once), *zip(parts, outputs, strict=True)]:
        _check_counts(part, output)
    _same("records", once.records, sum(output.records for output in outputs))
    _same("filtered", once.filtered, sum(output.filtered for output in outputs))
    _same(
        "rejections",
        [shown(rejection) for rejection in once.rejections],
        [shown(rejection) for output in outputs for rejection in output.rejections],
    )
    if after and all(map(is_columns, [once, *outputs])):
        together = whole_of(outputs)
        if together is not None and exact(together.message) != exact(once.message):
            _same("columns", shown(once.message), shown(together.message))
    _same("result", case.result_of([once], after), case.result_of(outputs, after))


def check_purity(case: Case, stage_name: str) -> None:
    """A stage function gives the same each time, and leaves what it is given alone.

    So a batch that is replayed, or sent to another replica, counts once.
    """
    stage, before, _ = case.sides(stage_name)
    inputs = [part.message for part in case.outputs(before)]
    as_given = [exact(message) for message in inputs]
    first = [_all_of(applied(stage, message)) for message in inputs]
    if as_given != [exact(message) for message in inputs]:
        raise InvarianceError("the function changes the message that it is given")
    # In reverse, so that what it keeps from one batch meets another.
    again = [_all_of(applied(stage, message)) for message in reversed(inputs)]
    for number, (one, other) in enumerate(zip(first, reversed(again), strict=True)):
        _same(f"answer to batch {number}, given again", one, other)


def check_merge(case: Case) -> None:
    """States merge associatively and commutatively, with a new fold as zero.

    And merging the states of batches is the same as adding the batches.
    """
    workload = case.workload
    payloads = _payloads(case)
    states = [_state(workload, [payload]) for payload in payloads]
    zero = workload.new_result().state()
    for number, state in enumerate(states):
        before = exact(state)
        _same_state(
            f"batch {number} merged with zero",
            state,
            _merged(workload, zero, state),
            _merged(workload, state, zero),
        )
        _same(f"state of batch {number} after it was merged", before, exact(state))
    for one, other in pairwise(states):
        _same_state(
            "two states merged, either first",
            _merged(workload, one, other),
            _merged(workload, other, one),
        )
    for one, two, three in zip(states, states[1:], states[2:], strict=False):
        _same_state(
            "three states merged, either pair first",
            _merged(workload, _merged(workload, one, two), three),
            _merged(workload, one, _merged(workload, two, three)),
        )
    _same_state(
        "all batches added, and their states merged backwards",
        _state(workload, payloads),
        _merged(workload, zero, *reversed(states)),
    )


def check_snapshot(case: Case) -> None:
    """A fold that is restored from its state goes on as if it had never stopped.

    Whatever it had gathered since is gathered again by replaying the batches, and no
    batch counts twice.
    """
    workload = case.workload
    payloads = _payloads(case)
    state = _state(workload, payloads)
    end = _fold(workload, payloads).finish()
    for at in range(len(payloads) + 1):
        before = _fold(workload, payloads[:at])
        kept = exact(before.state())
        # The fold that will be lost goes on to the end.
        for payload in payloads[at:]:
            before.add(payload)
        snapshot = type(state)()
        snapshot.MergeFromString(kept)
        restored = workload.new_result()
        restored.merge(snapshot)
        for payload in payloads[at:]:
            restored.add(payload)
        _same_state(f"restored after {at} batches", state, restored.state())
        _same(f"end of the result, restored after {at} batches", end, restored.finish())
        _same(f"records, restored after {at} batches", before.records, restored.records)


def _payloads(case: Case) -> list[Message]:
    return [output.message for output in case.outputs(case.workload.transforms)]


def _fold(workload: Workload, payloads: Sequence[Message]) -> Any:
    fold = workload.new_result()
    for payload in payloads:
        fold.add(payload)
    return fold


def _state(workload: Workload, payloads: Sequence[Message]) -> Message:
    state: Message = _fold(workload, payloads).state()
    return state


def _merged(workload: Workload, *states: Message) -> Message:
    fold = workload.new_result()
    for state in states:
        fold.merge(state)
    return fold.state()


def _check_counts(given: Output[Any], output: Output[Any]) -> None:
    _same(
        "records that are accounted for",
        given.records,
        output.records + output.filtered + len(output.rejections),
    )


def _all_of(output: Output[Any]) -> object:
    return (
        exact(output.message),
        output.records,
        output.filtered,
        [exact(rejection) for rejection in output.rejections],
    )


def _same(what: str, expected: object, found: object) -> None:
    if expected != found:
        raise InvarianceError(f"{what} must be the same\n  {expected!r}\n  {found!r}")


def _same_state(what: str, expected: Message, *found: Message) -> None:
    for state in found:
        if exact(state) != exact(expected):
            _same(f"state: {what}:", shown(expected), shown(state))
            _same(f"state, as bytes: {what}:", exact(expected), exact(state))
