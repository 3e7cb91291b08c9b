"""The parse stage of `work-items`: normalise, transpose, compute a checksum."""

from __future__ import annotations

from math import isfinite, sqrt

from pipeline.stages import Output, Refused
from pipeline.v1.pipeline_pb2 import Rejection
from pipeline.v1.work_items_pb2 import ParsedItems, WorkItems
from pipeline.workloads.work_items import native
from pipeline.workloads.work_items.arithmetic import left_to_right, work_on_each
from pipeline.workloads.work_items.columns import (
    check_columns,
    kept_values,
    rejections_of,
)
from pipeline.workloads.work_items.native import NativeLoops
from pipeline.workloads.work_items.packed import append_packed, packed_doubles

#: What `loops.c` refuses an item for.
REFUSALS = (
    Refused("empty_vector"),
    Refused("not_finite", "first"),
    Refused("not_finite", "second"),
    Refused("not_finite", "matrix"),
    Refused("out_of_range", "first"),
    Refused("out_of_range", "second"),
)


def parse(items: WorkItems) -> Output[ParsedItems]:
    """Parse every item, or reject it.

    Raises:
        ValueError: Columns contradict each other.
    """
    _check(items)
    if native.LOOPS is None:
        return _in_python(items)
    return _in_machine_code(items, native.LOOPS)


def _in_machine_code(items: WorkItems, loops: NativeLoops) -> Output[ParsedItems]:
    vectors = packed_doubles(items, "first", "second", "matrix")
    refusals, columns = loops.parse(items.size, items.iterations, *vectors)
    kept = kept_values(items, refusals, "record", "id", "size", "iterations")
    parsed = ParsedItems(**kept)
    append_packed(parsed, **columns)
    rejections = rejections_of(items.record, refusals, REFUSALS)
    return Output(parsed, records=len(parsed.record), rejections=rejections)


def _in_python(items: WorkItems) -> Output[ParsedItems]:
    # Lists are quicker to cut and to append to than the fields of a message.
    firsts, seconds, matrices = (
        list(items.first),
        list(items.second),
        list(items.matrix),
    )
    kept: list[tuple[int, int, int, int]] = []
    normals: list[float] = []
    transposed: list[float] = []
    checksums: list[float] = []
    rejections: list[Rejection] = []
    vector = matrix = 0
    for record, id_, size, iterations in zip(
        items.record, items.id, items.size, items.iterations, strict=True
    ):
        vectors = slice(vector, vector + size)
        rows = slice(matrix, matrix + size * size)
        vector, matrix = vectors.stop, rows.stop
        first, second, values = firsts[vectors], seconds[vectors], matrices[rows]
        try:
            _check_values(first, second, values)
            normalised = normalise(first, "first") + normalise(second, "second")
        except Refused as refused:
            rejections.append(refused.rejection(record))
            continue
        kept.append((record, id_, size, iterations))
        normals += normalised
        for column in range(size):
            transposed += values[column::size]
        checksums.append(left_to_right(work_on_each(normalised, iterations)))
    parsed = ParsedItems(
        record=[record for record, _, _, _ in kept],
        id=[id_ for _, id_, _, _ in kept],
        size=[size for _, _, size, _ in kept],
        normalised=normals,
        matrix=transposed,
        checksum=checksums,
        iterations=[iterations for _, _, _, iterations in kept],
    )
    return Output(parsed, records=len(kept), rejections=rejections)


def normalise(vector: list[float], field: str) -> list[float]:
    """Return a vector divided by its norm, or as it is if the norm is 0.

    Raises:
        Refused: The norm is too large for a double; ``field`` is the vector's name.
    """
    norm = sqrt(left_to_right([value * value for value in vector]))
    if not isfinite(norm):
        raise Refused("out_of_range", field)
    return [value / norm for value in vector] if norm else vector


def _check(items: WorkItems) -> None:
    count, values = len(items.size), sum(items.size)
    check_columns(
        items,
        record=count,
        id=count,
        first=values,
        second=values,
        matrix=sum(size * size for size in items.size),
        text=count,
        iterations=count,
    )


def _check_values(first: list[float], second: list[float], matrix: list[float]) -> None:
    if not first:
        raise Refused("empty_vector")
    for field, values in (("first", first), ("second", second), ("matrix", matrix)):
        # A sum is finite only if all values are, and is quicker.
        if not isfinite(sum(values)) and not all(map(isfinite, values)):
            raise Refused("not_finite", field)
