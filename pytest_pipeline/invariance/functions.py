"""Properties of the stage functions of a workload, and of its result.

Each function checks one property for one partitioned stream, and raises InvarianceError
if the property does not hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from google.protobuf.message import Message

from pipeline.errors import UsageError
from pipeline.stages import Output
from pipeline.workload import Workload
from pytest_pipeline.invariance.partitioned_stream import (
    InvarianceError,
    PartitionedStream,
    applied,
)
from pytest_pipeline.records.payloads import exact_bytes, joined, shown


def check_partition(partitioned: PartitionedStream, stage_name: str) -> None:
    """Check that a stage function gives the same for any partition of the stream.

    Counts, rejections, columns and result must be those of the whole stream in one
    batch.
    """
    stage, before, after = partitioned.sides(stage_name)
    parts = partitioned.outputs(before)
    whole = _whole(parts) if parts else None
    if whole is None:
        # The outputs of the stages before can't be put together: pass on one batch.
        uncut = PartitionedStream(partitioned.workload, partitioned.stream, ()).outputs(
            before
        )
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
    if after and all(map(_is_columns, [once, *outputs])):
        together = _whole(outputs)
        if together is not None and exact_bytes(together.message) != exact_bytes(
            once.message
        ):
            _same("columns", shown(once.message), shown(together.message))
    _same(
        "result",
        partitioned.result_of([once], after),
        partitioned.result_of(outputs, after),
    )


def check_purity(partitioned: PartitionedStream, stage_name: str) -> None:
    """Check that a stage function is pure.

    It must give the same output each time and leave its input unchanged, so that a
    batch may be replayed or sent to another replica.
    """
    stage, before, _ = partitioned.sides(stage_name)
    inputs = [part.message for part in partitioned.outputs(before)]
    as_given = [exact_bytes(message) for message in inputs]
    first = [_all_of(applied(stage, message)) for message in inputs]
    if as_given != [exact_bytes(message) for message in inputs]:
        raise InvarianceError("the function changes the message that it is given")
    # In reverse, so that state kept from one batch meets another batch.
    again = [_all_of(applied(stage, message)) for message in reversed(inputs)]
    for number, (one, other) in enumerate(zip(first, reversed(again), strict=True)):
        _same(f"answer to batch {number}, given again", one, other)


def check_merge(partitioned: PartitionedStream) -> None:
    """Check that the states of a result are a commutative monoid.

    A new result is the zero, and merging the states of batches must equal adding the
    batches.
    """
    workload = partitioned.workload
    payloads = _payloads(partitioned)
    states = [_state(workload, [payload]) for payload in payloads]
    zero = workload.new_result().state()
    for number, state in enumerate(states):
        before = exact_bytes(state)
        _same_state(
            f"batch {number} merged with zero",
            state,
            _merged(workload, zero, state),
            _merged(workload, state, zero),
        )
        _same(
            f"state of batch {number} after it was merged", before, exact_bytes(state)
        )
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


def check_snapshot(partitioned: PartitionedStream) -> None:
    """Check that a result that is restored from its state goes on correctly.

    The batches that were added after the state was taken are replayed, and no batch may
    count twice.
    """
    workload = partitioned.workload
    payloads = _payloads(partitioned)
    state = _state(workload, payloads)
    end = _fold(workload, payloads).finish()
    for at in range(len(payloads) + 1):
        before = _fold(workload, payloads[:at])
        kept = exact_bytes(before.state())
        # The first fold goes on to the end, since its record count is compared below.
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


def _whole(parts: Sequence[Output[Any]]) -> Output[Any] | None:
    """Return the batches as one; None if they can't be put together."""
    try:
        message = joined([part.message for part in parts])
    except UsageError:
        return None
    return Output(
        message,
        records=sum(part.records for part in parts),
        filtered=sum(part.filtered for part in parts),
        rejections=[rejection for part in parts for rejection in part.rejections],
    )


def _is_columns(output: Output[Any]) -> bool:
    """Return whether a payload has one value for each record, as columns have.

    Any other payload summarises its batch, as an aggregation state does, and can't be
    compared by putting the payloads of batches end to end.
    """
    return _rows(output.message) == output.records


def _rows(message: Message) -> int:
    fields = message.DESCRIPTOR.fields
    columns = [
        len(getattr(message, field.name)) for field in fields if field.is_repeated
    ]
    if columns:
        return min(columns)
    return sum(
        _rows(getattr(message, field.name))
        for field in fields
        if field.message_type is not None
    )


def _payloads(partitioned: PartitionedStream) -> list[Message]:
    return [
        output.message
        for output in partitioned.outputs(partitioned.workload.transforms)
    ]


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
        exact_bytes(output.message),
        output.records,
        output.filtered,
        [exact_bytes(rejection) for rejection in output.rejections],
    )


def _same(what: str, expected: object, found: object) -> None:
    if expected != found:
        raise InvarianceError(f"{what} must be the same\n  {expected!r}\n  {found!r}")


def _same_state(what: str, expected: Message, *found: Message) -> None:
    for state in found:
        if exact_bytes(state) != exact_bytes(expected):
            _same(f"state: {what}:", shown(expected), shown(state))
            _same(
                f"state, as bytes: {what}:", exact_bytes(expected), exact_bytes(state)
            )
