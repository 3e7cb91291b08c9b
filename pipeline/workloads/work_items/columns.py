"""Why items are refused, and columns that must agree."""

from __future__ import annotations

from google.protobuf.message import Message

#: Every reason for which an item is refused: its vectors have no values; a value of
#: ``first``, ``second`` or ``matrix`` is not finite; or, later, what is computed from
#: them is too large. It is refused for the first that holds.
REASONS = ("empty_vector", "not_finite", "out_of_range")


def check_columns(message: Message, **lengths: int) -> None:
    """Raise ValueError for a column that has not as many values as it should."""
    for name, length in lengths.items():
        values = len(getattr(message, name))
        if values != length:
            raise ValueError(
                f"{type(message).__name__}.{name} has {values} values, not {length}"
            )
