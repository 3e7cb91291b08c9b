"""What the stages have in common: reasons of rejections, and handling of columns."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import Message

from pipeline.stages import Refused
from pipeline.v1.pipeline_pb2 import Rejection

#: Every reason for which an item is rejected: its vectors are empty, a value of
#: ``first``, ``second`` or ``matrix`` is not finite, or a value computed from them is
#: too large. If several apply, the first one counts.
REASONS = ("empty_vector", "not_finite", "out_of_range")

#: How many features an item has.
FEATURES = 5


def check_columns(message: Message, **lengths: int) -> None:
    """Raise ValueError unless every column has the given number of values."""
    for name, length in lengths.items():
        values = len(getattr(message, name))
        if values != length:
            raise ValueError(
                f"{type(message).__name__}.{name} has {values} values, not {length}"
            )


def kept_values(
    message: Message, refusals: Sequence[int], *names: str
) -> dict[str, Sequence[int]]:
    """Return columns of integers without the refused items; see `native.Computed`."""
    columns: dict[str, Sequence[int]] = {name: getattr(message, name) for name in names}
    if any(refusals):
        for name, column in columns.items():
            pairs = zip(column, refusals, strict=True)
            columns[name] = [value for value, refusal in pairs if not refusal]
    return columns


def rejections_of(
    records: Sequence[int], refusals: Sequence[int], refused: Sequence[Refused]
) -> list[Rejection]:
    """Return the rejections of the refused items; ``refused`` says what for."""
    return [
        refused[refusal - 1].rejection(record)
        for record, refusal in zip(records, refusals, strict=True)
        if refusal
    ]
