"""The rules stage of `work-items`: compute features and score."""

from __future__ import annotations

from math import isfinite, sqrt

from pipeline.stages import Output, Refused
from pipeline.v1.pipeline_pb2 import Rejection
from pipeline.v1.work_items_pb2 import ParsedItems, ScoredItems
from pipeline.workloads.work_items import native
from pipeline.workloads.work_items.arithmetic import left_to_right, no_warnings, work
from pipeline.workloads.work_items.columns import (
    FEATURES,
    check_columns,
    kept_values,
    rejections_of,
)
from pipeline.workloads.work_items.native import NativeLoops
from pipeline.workloads.work_items.packed import append_packed, packed_doubles

#: What `loops.c` refuses an item for.
REFUSALS = (Refused("out_of_range", "matrix_total"), Refused("out_of_range", "score"))


def rules(items: ParsedItems) -> Output[ScoredItems]:
    """Score every item; reject those whose score is too large for a double.

    Raises:
        ValueError: Columns contradict each other.
    """
    _check(items)
    if native.LOOPS is None:
        return _in_python(items)
    return _in_machine_code(items, native.LOOPS)


def _in_machine_code(items: ParsedItems, loops: NativeLoops) -> Output[ScoredItems]:
    values = packed_doubles(items, "normalised", "matrix", "checksum")
    refusals, columns = loops.rules(items.size, items.iterations, *values)
    scored = ScoredItems(**kept_values(items, refusals, "record", "id"))
    append_packed(scored, **columns)
    rejections = rejections_of(items.record, refusals, REFUSALS)
    return Output(scored, records=len(scored.record), rejections=rejections)


@no_warnings
def _in_python(items: ParsedItems) -> Output[ScoredItems]:
    # Lists are quicker to cut and to append to than the fields of a message.
    normals, matrices = list(items.normalised), list(items.matrix)
    kept: list[tuple[int, int, float, float, float, float]] = []
    features: list[float] = []
    rejections: list[Rejection] = []
    value = matrix = 0
    for record, id_, size, iterations, checksum in zip(
        items.record,
        items.id,
        items.size,
        items.iterations,
        items.checksum,
        strict=True,
    ):
        values = normals[value : value + 2 * size]
        matrix_total = left_to_right(matrices[matrix : matrix + size * size])
        value, matrix = value + 2 * size, matrix + size * size
        mean, deviation = mean_and_deviation(values)
        score = work((checksum + matrix_total) + mean, iterations)
        if not (isfinite(matrix_total) and isfinite(score)):
            field = "score" if isfinite(matrix_total) else "matrix_total"
            rejections.append(Refused("out_of_range", field).rejection(record))
            continue
        kept.append((record, id_, mean, deviation, matrix_total, score))
        features += features_of(values)
    scored = ScoredItems(
        record=[each[0] for each in kept],
        id=[each[1] for each in kept],
        mean=[each[2] for each in kept],
        deviation=[each[3] for each in kept],
        features=features,
        matrix_total=[each[4] for each in kept],
        score=[each[5] for each in kept],
    )
    return Output(scored, records=len(kept), rejections=rejections)


def mean_and_deviation(values: list[float]) -> tuple[float, float]:
    """Return the mean and the population standard deviation of one or more values."""
    mean = left_to_right(values) / len(values)
    distances = [value - mean for value in values]
    squares = [distance * distance for distance in distances]
    return mean, sqrt(left_to_right(squares) / len(values))


def features_of(values: list[float]) -> list[float]:
    """Return the first five values, filled up with zeros, which change no sum."""
    features = values[:FEATURES]
    return features + [0.0] * (FEATURES - len(features))


def _check(items: ParsedItems) -> None:
    count = len(items.size)
    if 0 in items.size:
        raise ValueError("ParsedItems.size has a 0, which parse refuses")
    check_columns(
        items,
        record=count,
        id=count,
        iterations=count,
        normalised=2 * sum(items.size),
        matrix=sum(size * size for size in items.size),
        checksum=count,
    )
