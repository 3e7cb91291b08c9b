"""Reasons of rejections, and the check of columns."""

from __future__ import annotations

from google.protobuf.message import Message

#: Every reason for which an item is rejected: its vectors are empty, a value of
#: ``first``, ``second`` or ``matrix`` is not finite, or a value computed from them is
#: too large. If several apply, the first one counts.
REASONS = ("empty_vector", "not_finite", "out_of_range")


def check_columns(message: Message, **lengths: int) -> None:
    """Raise ValueError unless every column has the given number of values."""
    for name, length in lengths.items():
        values = len(getattr(message, name))
        if values != length:
            raise ValueError(
                f"{type(message).__name__}.{name} has {values} values, not {length}"
            )
