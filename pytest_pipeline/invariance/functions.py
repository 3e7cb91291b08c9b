"""Properties of the stage functions of a workload, and of its result.

Each function checks one property for one partitioned stream, and raises InvarianceError
if the property does not hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from google.protobuf.message import Message

from pipeline.batching import DEFAULT_BATCH_BYTES
from pipeline.errors import UsageError
from pipeline.stages import Output
from pipeline.workload import Workload
from pytest_pipeline.invariance.partitioned_stream import (
    InvarianceError,
    PartitionedStream,
    applied,
    difference,
)
from pytest_pipeline.records.cuts import near_powers_of_two
from pytest_pipeline.records.payloads import exact_bytes, joined, shown

# With more batches, not every one of them is merged or restored singly.
_FEW = 64


def check_partition(partitioned: PartitionedStream, stage_name: str) -> None:
    """Check that a stage function gives the same for any partition of the stream.

    Counts, rejections, columns and result must be those of the whole stream in one
    batch, or in the fewest batches if it has more bytes than a batch may have.
    """
    stage, before, after = partitioned.sides(stage_name)
    parts = partitioned.outputs(before)
    if not parts:
        return
    # The outputs of the stages before are put together, so that this stage alone is
    # checked. If they can't be, the stages before take the fewest batches as well.
    wholes = _together(parts) or partitioned.uncut.outputs(before)
    once = [applied(stage, whole.message) for whole in wholes]
    outputs = [applied(stage, part.message) for part in parts]
    for part, output in [
        *zip(wholes, once, strict=True),
        *zip(parts, outputs, strict=True),
    ]:
        _check_counts(part, output)
    _same("records", *(sum(one.records for one in of) for of in (once, outputs)))
    _same("filtered", *(sum(one.filtered for one in of) for of in (once, outputs)))
    _same("rejections", *map(_rejections, (once, outputs)))
    if after and all(map(_is_columns, [*once, *outputs])):
        uncut, together = _whole(once), _whole(outputs)
        if uncut and together:
            _same_message("columns", uncut.message, together.message)
    _same(
        "result",
        partitioned.result_of(once, after),
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
    batches. Of many batches, those next to powers of two are merged singly; the others
    in groups that end there.
    """
    workload = partitioned.workload
    payloads = _payloads(partitioned)
    states = {at: _state(workload, [payloads[at]]) for at in _chosen(len(payloads))}
    zero = workload.new_result().state()
    for number, state in states.items():
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
    singles = list(states.values())
    for one, other in pairwise(singles):
        _same_state(
            "two states merged, either first",
            _merged(workload, one, other),
            _merged(workload, other, one),
        )
    for one, two, three in zip(singles, singles[1:], singles[2:], strict=False):
        _same_state(
            "three states merged, either pair first",
            _merged(workload, _merged(workload, one, two), three),
            _merged(workload, one, _merged(workload, two, three)),
        )
    added = _state(workload, payloads)
    if len(states) == len(payloads):
        _same_state(
            "all batches added, and their states merged backwards",
            added,
            _merged(workload, zero, *reversed(singles)),
        )
    _check_groups(workload, payloads, added)


def _check_groups(
    workload: Workload, payloads: Sequence[Message], added: Message
) -> None:
    """Check that the batches before and after any end are two states that merge."""
    ends = [*_chosen(len(payloads)), len(payloads)]
    fold = workload.new_result()
    firsts, groups = [], []
    for start, end in pairwise(ends):
        for payload in payloads[start:end]:
            fold.add(payload)
        # Copied, because a result may go on in the message that it returned.
        firsts.append(_copied(fold.state()))
        groups.append(_state(workload, payloads[start:end]))
    rest = workload.new_result().state()
    for end, first, group in zip(
        reversed(ends[1:]), reversed(firsts), reversed(groups), strict=True
    ):
        _same_state(
            f"all batches added, and the first {end} merged with the rest",
            added,
            _merged(workload, first, rest),
            _merged(workload, rest, first),
        )
        rest = _merged(workload, group, rest)


def check_snapshot(partitioned: PartitionedStream) -> None:
    """Check that a result that is restored from its state goes on correctly.

    The batches that were added after the state was taken are replayed, and no batch may
    count twice.
    """
    workload = partitioned.workload
    payloads = _payloads(partitioned)
    if len(payloads) > _FEW:
        _check_restored_often(workload, payloads)
        return
    state = _state(workload, payloads)
    end = _fold(workload, payloads).finish()
    for at in range(len(payloads) + 1):
        before = _fold(workload, payloads[:at])
        kept = exact_bytes(before.state())
        # The first fold goes on to the end, since its record count is compared below.
        for payload in payloads[at:]:
            before.add(payload)
        restored = _restored(workload, state, kept)
        for payload in payloads[at:]:
            restored.add(payload)
        _same_state(f"restored after {at} batches", state, restored.state())
        _same(f"end of the result, restored after {at} batches", end, restored.finish())
        _same(f"records, restored after {at} batches", before.records, restored.records)


def _check_restored_often(workload: Workload, payloads: Sequence[Message]) -> None:
    """Check a result that is restored again and again, next to each power of two."""
    unbroken, restored = workload.new_result(), workload.new_result()
    for start, end in pairwise([*_chosen(len(payloads)), len(payloads)]):
        for payload in payloads[start:end]:
            unbroken.add(payload)
            restored.add(payload)
        state = unbroken.state()
        _same_state(f"restored often, after {end} batches", state, restored.state())
        _same(
            f"records, restored often, after {end} batches",
            unbroken.records,
            restored.records,
        )
        restored = _restored(workload, state, exact_bytes(restored.state()))
    _same("end of the result, restored often", unbroken.finish(), restored.finish())


def _restored(workload: Workload, state: Message, kept: bytes) -> Any:
    """Return a result that is restored from the bytes of a state like ``state``."""
    snapshot = type(state)()
    snapshot.MergeFromString(kept)
    restored = workload.new_result()
    restored.merge(snapshot)
    return restored


def _copied(message: Message) -> Message:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def _chosen(batches: int) -> list[int]:
    """Return 0 and the numbers of the batches to look at singly, ascending."""
    if batches <= _FEW:
        return list(range(batches))
    return [0, *near_powers_of_two(batches)]


def _together(parts: Sequence[Output[Any]]) -> list[Output[Any]]:
    """Put batches together, up to the bytes of a batch; [] if they can't be."""
    groups: list[list[Output[Any]]] = [[]]
    bytes_ = 0
    for part in parts:
        more = part.message.ByteSize()
        if groups[-1] and bytes_ + more > DEFAULT_BATCH_BYTES:
            groups.append([])
            bytes_ = 0
        groups[-1].append(part)
        bytes_ += more
    wholes = [_whole(group) for group in groups]
    return [whole for whole in wholes if whole] if all(wholes) else []


def _rejections(outputs: Sequence[Output[Any]]) -> list[str]:
    return [shown(rejection) for output in outputs for rejection in output.rejections]


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
        raise InvarianceError(f"{what} must be the same{difference(expected, found)}")


def _same_message(what: str, expected: Message, found: Message) -> None:
    """Compare messages exactly, and show the words of both if those differ."""
    if exact_bytes(expected) == exact_bytes(found):
        return
    _same(what, shown(expected), shown(found))
    _same(f"{what} (as text)", str(expected), str(found))
    _same(f"{what} (as bytes)", exact_bytes(expected), exact_bytes(found))


def _same_state(what: str, expected: Message, *found: Message) -> None:
    for state in found:
        _same_message(f"state: {what}:", expected, state)
